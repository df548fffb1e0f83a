// Pictures and clips on their way to the server. The Stylize that would take them waits: it would
// paint what was there before.
export const PICTURE = "#stylize";
export const FILM = "#film-stylize";
export const BOTH = `${PICTURE}, ${FILM}`;

const underWay = new Set(); // { buttons, onWait }
const waiting = new Set(); // the buttons that were pressed meanwhile

const thoseFor = (button) => [...underWay].filter(({ buttons }) => button.matches(buttons));

// Why a file could not be sent, as the server says it; what Gradio says of a lost connection is
// nothing for a visitor.
export const reasonOf = ({ message = "" }, usual) =>
    !message || message.startsWith("Connection errored out") ? usual : message;

const release = (button) => {
    waiting.delete(button);
    button.removeAttribute("aria-busy");
};

const pressThoseReady = () => {
    for (const button of [...waiting].filter((each) => !thoseFor(each).length)) {
        release(button);
        button.click();
    }
};

// Resolves to what is uploaded. One of the `buttons` is pressed then if it was meanwhile, which
// calls `onWait`; where a picture cannot be sent, it is not.
export const sending = async (upload, buttons, onWait = () => {}) => {
    const entry = { buttons, onWait };
    underWay.add(entry);
    try {
        return await upload;
    } catch (error) {
        [...waiting].filter((button) => button.matches(buttons)).forEach(release);
        throw error;
    } finally {
        underWay.delete(entry);
        // First whoever waits for the upload takes it.
        setTimeout(pressThoseReady);
    }
};

// Sends what counts until something else is chosen: `send` resolves as `sending` does, and to
// nothing as soon as `drop`, or the next `send`, lets it go.
export const latestOnly = (buttons) => {
    let drop = () => {};
    const send = (upload, onWait) => {
        drop();
        const dropped = new Promise((done) => drop = done);
        return sending(Promise.race([upload, dropped]), buttons, onWait);
    };
    return { send, drop: () => drop() };
};

document.addEventListener("click", (event) => {
    const button = event.target.closest?.(BOTH);
    const those = button ? thoseFor(button) : [];
    if (!those.length) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    waiting.add(button);
    button.setAttribute("aria-busy", "true");
    for (const { onWait } of those) onWait();
}, true);
