// Shares a file where the browser can share files; a share that fails says so for a while.
const SHARE = "Share…";
const FAILED = "Sharing did not work";
const NOT_READY = "It is not ready; please try again";
const SHOWN = 4000; // milliseconds

const share = async ({ address, name }, type) => {
    const response = await fetch(address);
    if (!response.ok) return NOT_READY;
    try {
        await navigator.share({ files: [new File([await response.blob()], name, { type })] });
    } catch (error) {
        if (error.name !== "AbortError") throw error; // the visitor has thought better of it
    }
    return "";
};

// Shows the button that shares a file of a `type`, wherever the element has one.
export const shareFrom = (element, watch, type) => {
    let isSharing = false; // a browser shares one thing at a time
    let timer;
    element.addEventListener("click", async ({ target }) => {
        const button = target.closest(".share");
        if (!button || isSharing) return;
        isSharing = true;
        clearTimeout(timer);
        button.textContent = SHARE;
        button.textContent = await share(button.dataset, type).catch(() => FAILED) || SHARE;
        timer = setTimeout(() => button.textContent = SHARE, SHOWN);
        isSharing = false;
    });
    const reveal = () => {
        const button = element.querySelector(".share");
        if (!button || !navigator.canShare) return;
        const probe = new File([""], button.dataset.name, { type });
        button.hidden = !navigator.canShare({ files: [probe] });
    };
    reveal();
    watch("value", reveal);
};
