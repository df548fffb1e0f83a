// Has Gradio's accordions say to screen readers whether they are open.
const HEADS = ".gr-accordion > .label-wrap";

const tell = () => {
    for (const head of document.querySelectorAll(HEADS)) {
        const isOpen = String(head.classList.contains("open"));
        if (head.ariaExpanded !== isOpen) head.ariaExpanded = isOpen;
    }
};

export const tellWhatIsOpen = () => {
    const watcher = new MutationObserver(tell);
    watcher.observe(document.querySelector(".gradio-container"), {
        attributeFilter: ["class"],
        childList: true,
        subtree: true,
    });
    tell();
};
