// Pictures, clips and masks on their way to the server. A button that takes them waits, such as
// Stylize: it would take what was there before.
const PICTURE = ["#stylize", "#make-sheet"];
const FILM = ["#film-stylize"];
const acts = (panel, ...names) => names.map((name) => `#${panel} [data-act=${name}]`);
const croppers = (input) => acts(input, "crop", "frame");
const REGIONS = acts("paintings", "paint", "protect");
const PART = acts("paintings", "part");

// The buttons that take something, by what it is.
export const TAKERS = {
    content: [...PICTURE, ...REGIONS, ...croppers("content")],
    style: [...PICTURE, ...FILM, ...PART, ...acts("paintings", "crop"), ...croppers("style")],
    init: [...PICTURE, ...croppers("init")],
    another: [...PICTURE, ...FILM], // painting
    photos: PICTURE,
    masks: [...PICTURE, ...REGIONS, ...PART],
    clip: FILM,
};
const EVERY = `${Object.values(TAKERS).flat()}`;

const underWay = new Set(); // { takers, onWait }
const waiting = new Set(); // the buttons that were pressed meanwhile

const thoseFor = (button) => [...underWay].filter(({ takers }) => button.matches(`${takers}`));

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

// Resolves to what is uploaded. One of its `takers` is pressed then if it was meanwhile, which
// calls `onWait`; where a picture cannot be sent, it is not.
export const sending = async (upload, takers, onWait = () => {}) => {
    const entry = { takers, onWait };
    underWay.add(entry);
    try {
        return await upload;
    } catch (error) {
        [...waiting].filter((button) => button.matches(`${takers}`)).forEach(release);
        throw error;
    } finally {
        underWay.delete(entry);
        // First whoever waits for the upload takes it.
        setTimeout(pressThoseReady);
    }
};

// Sends what counts until something else is chosen: `send` resolves as `sending` does, and to
// nothing as soon as `drop`, or the next `send`, lets it go.
export const latestOnly = (takers) => {
    let drop = () => {};
    const send = (upload, onWait) => {
        drop();
        const dropped = new Promise((done) => drop = done);
        return sending(Promise.race([upload, dropped]), takers, onWait);
    };
    return { send, drop: () => drop() };
};

document.addEventListener("click", (event) => {
    const button = event.target.closest?.(EVERY);
    const those = button ? thoseFor(button) : [];
    if (!those.length) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    waiting.add(button);
    button.setAttribute("aria-busy", "true");
    for (const { onWait } of those) onWait();
}, true);
