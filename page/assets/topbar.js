// The bar above the page: undo, redo, the link to share, and the shortcuts.
import { tellWhatIsOpen } from "./accordions.js";
import { history } from "./history.js";
import { keepFocus } from "./keep_focus.js";
import { prepareSliders } from "./sliders.js";

const isFilm = () => document.documentElement.dataset.mode === "film";

const press = (selector) => {
    const button = document.querySelector(selector);
    if (button && !button.disabled) button.click();
    return Boolean(button);
};

const KEYS = {
    s: "#stylize",
    escape: "#stop",
    c: "#stage [data-act=compare]",
    f: "#stage [data-act=full]",
    "+": "#stage [data-act=larger]",
    "=": "#stage [data-act=larger]",
    "-": "#stage [data-act=smaller]",
    0: "#stage [data-act=true]",
    d: ".stage[data-kind=batch] .zip:not([hidden]), #download",
    "?": "#bar [data-act=help]",
};

const FILM_KEYS = {
    ...KEYS,
    s: "#film-stylize",
    escape: "#film-stop",
    c: "#film-stage [data-act=compare]",
    f: "#film-stage [data-act=full]",
    d: "#film-download",
    k: "#film-stage [data-act=play]",
};

// What is typed into a field, or into a dialog, is no shortcut.
const isTyping = ({ target }) =>
    target.closest?.("textarea, select, [contenteditable], dialog[open]") ||
    document.querySelector("dialog:modal") ||
    (target.tagName === "INPUT" && !["range", "radio", "checkbox"].includes(target.type));

const pressed = (event) => {
    if (isTyping(event) || event.altKey) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
        const act = key === "y" || (key === "z" && event.shiftKey) ? "redo" : key === "z" && "undo";
        if (act) {
            event.preventDefault();
            press(`#bar [data-act=${act}]`);
        }
        return;
    }
    const isFull = document.fullscreenElement ||
        document.documentElement.classList.contains("stage-fills-window");
    if (key === "escape" && isFull) return;
    if (key === "b") return hold(true);
    const keys = isFilm() ? FILM_KEYS : KEYS;
    if (keys[key] && !event.repeat) {
        if (press(keys[key]) && key !== "escape") event.preventDefault();
    }
};

const hold = (isDown) => {
    const type = isDown ? "pointerdown" : "pointerup";
    document.querySelector("#stage [data-act=hold]")?.dispatchEvent(new PointerEvent(type));
};

// Copies a text that may be yet to come: Safari wants to be asked within the click. Resolves to
// whether the browser has let it.
const copied = async (coming) => {
    try {
        const words = Promise.resolve(coming);
        const text = words.then((each) => new Blob([each], { type: "text/plain" }));
        await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
        return true;
    } catch {
        return false;
    }
};

export default function mount({ element, props, trigger }) {
    const bar = element.querySelector(".topbar");
    const buttons = Object.fromEntries(
        ["undo", "redo"].map((act) => [act, bar.querySelector(`[data-act=${act}]`)]),
    );
    let tellLink = () => {}, isCopied = false;
    const acts = {
        undo: () => trigger("undo"),
        redo: () => trigger("redo"),
        share: () => {
            const link = new Promise((done) => tellLink = done);
            isCopied = copied(link);
            trigger("copylink");
        },
        help: () => bar.querySelector("dialog.help").showModal(),
    };
    bar.addEventListener(
        "click",
        ({ target }) => acts[target.closest("[data-act]")?.dataset.act]?.(),
    );
    history.onChange = () => {
        const focused = document.activeElement;
        buttons.undo.disabled = !history.canStep(-1);
        buttons.redo.disabled = !history.canStep(1);
        // The keyboard goes on from the one that has nothing left to the other.
        if (focused === buttons.undo && focused.disabled) buttons.redo.focus();
        if (focused === buttons.redo && focused.disabled) buttons.undo.focus();
        if (history.at >= 0) bar.dataset.step = history.at;
    };
    document.addEventListener("keydown", pressed);
    document.addEventListener("keyup", ({ key }) => key.toLowerCase() === "b" && hold(false));
    listenForLinks(bar.querySelector("dialog.link"), (link) => {
        tellLink(link);
        return isCopied;
    });
    listenForPictures();
    keepFocus();
    tellWhatIsOpen();
    prepareSliders(props.words);
    history.onChange();
}

// Shows a link in its dialog, and says whether it is copied, which `tell` resolves to. Painted
// regions are in it where the visitor agrees, each time anew.
const listenForLinks = (dialog, tell) => {
    const [field, agreed, row, leftOut, status] = [
        "[readonly]",
        "[type=checkbox]",
        ".with-regions",
        ".left-out",
        "[role=status]",
    ].map((selector) => dialog.querySelector(selector));
    let links = {};
    const show = async (link, isCopied) => {
        field.value = link;
        const what = agreed.checked ? "The link with the regions" : "The link";
        const isDone = await isCopied;
        status.textContent = isDone ? `${what} is copied.` : "Copy this link:";
        if (!isDone) field.select();
    };
    document.addEventListener("nst:link", async ({ detail }) => {
        links = detail;
        agreed.checked = false;
        row.hidden = !links.withRegions;
        leftOut.textContent = links.leftOut;
        leftOut.hidden = !links.leftOut;
        await show(links.link, tell(links.link));
        dialog.show();
        field.select();
    });
    agreed.addEventListener("change", () => {
        const link = agreed.checked ? links.withRegions : links.link;
        show(link, copied(link));
    });
    // What it shows is no longer so when something has been changed.
    const closeFrom = (target) => target && !dialog.contains(target) && dialog.close();
    document.addEventListener("pointerdown", ({ target }) => closeFrom(target));
    dialog.addEventListener("focusout", ({ relatedTarget }) => closeFrom(relatedTarget));
    dialog.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation(); // it is no shortcut here
        dialog.close();
    });
};

// A film is made of a clip; anywhere else an animated picture is its first frame.
const roleOf = ({ type }) =>
    type.startsWith("video/") || (isFilm() && type === "image/gif") ? "clip" : "";

// A picture or a clip that is dropped or pasted anywhere.
const listenForPictures = () => {
    const offer = (role, file) => {
        document.dispatchEvent(new CustomEvent("nst:file", { detail: { role, file } }));
    };
    const offerPhotos = (files) => {
        document.dispatchEvent(new CustomEvent("nst:photos", { detail: { files } }));
    };
    const isFree = ({ target }) => !target.closest?.(".picture-input, #bring-back, dialog[open]");
    const drags = (isOver) => document.documentElement.classList.toggle("nst-drags", isOver);
    document.addEventListener("dragover", (event) => {
        if (!event.dataTransfer?.types.includes("Files")) return;
        drags(true);
        if (isFree(event)) event.preventDefault();
    });
    for (const name of ["dragend", "drop"]) document.addEventListener(name, () => drags(false));
    document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || drags(false));
    document.addEventListener("drop", (event) => {
        const files = [...event.dataTransfer?.files ?? []];
        if (!isFree(event) || !files.length) return;
        event.preventDefault();
        if (files.length === 1) return offer(roleOf(files[0]), files[0]);
        if (files.length > 2) return offerPhotos(files);
        offer("content", files[0]);
        offer("style", files[1]);
    });
    document.addEventListener("paste", (event) => {
        const [file] = event.clipboardData?.files ?? [];
        if (!file || isTyping(event)) return;
        event.preventDefault();
        offer(roleOf(file), file);
    });
};
