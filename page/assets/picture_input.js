// A picture to choose: from a file, the clipboard, a drop, the camera or the examples.
import { noteChosen } from "./chosen.js";

export default function mount({ element, props, trigger, watch, upload }) {
    const root = element.querySelector(".picture-input");
    const image = root.querySelector("img.chosen");
    const file = root.querySelector("input[type=file]");
    const notice = root.querySelector(".notice");
    let turn = 0;
    let isAwaited = false; // the server's display of what was chosen
    let isSeveral = false; // there are photos in the tray, and what is chosen joins them
    let firstShown = ""; // the first of them
    let isForTray = false; // what is chosen next does

    const say = (text) => {
        notice.textContent = text;
        notice.hidden = !text;
    };

    const render = () => {
        const value = props.value || {}; // which is a text where there is none
        const { frame, crop } = value;
        const small = (isSeveral && firstShown) || value.small || value.shown;
        if (small && image.getAttribute("src") !== small) image.src = small;
        image.hidden = !small;
        root.classList.toggle("empty", !props.value);
        root.querySelector(".frame").hidden = !frame || Boolean(crop);
        noteChosen(props.role, props.value || null);
    };

    const showOnStage = ({ shown } = {}) => {
        if (props.role !== "content" || !shown) return;
        document.dispatchEvent(new CustomEvent("nst:photo", { detail: { url: shown } }));
    };

    const choose = (value) => {
        turn++;
        say("");
        props.value = value;
        isAwaited = true;
        render();
        showOnStage(value ?? {});
        trigger("choose");
    };

    // Sends a picture to the server; resolves to its path there, or to nothing.
    const send = async (picture) => {
        const mine = ++turn;
        say("");
        root.classList.add("busy");
        try {
            const sent = await upload(picture);
            return mine === turn ? sent.path : null;
        } catch (error) {
            say(error.message || "The picture could not be sent. Please try again.");
            return null;
        } finally {
            root.classList.remove("busy");
        }
    };

    const take = async (picture) => {
        const path = await send(picture);
        if (path) {
            choose({ file: { path }, shown: URL.createObjectURL(picture), name: picture.name });
        }
    };

    const offerPhotos = (detail) => {
        document.dispatchEvent(new CustomEvent("nst:photos", { detail }));
    };

    const takeAll = (files, isForTray = false) => {
        if (!files.length) return;
        const isBatch = props.role === "content" && (isForTray || isSeveral || files.length > 1);
        if (isBatch) offerPhotos({ files });
        else take(files[0]);
    };

    const acts = {
        replace: () => {
            isForTray = false;
            file.click();
        },
        several: () => {
            isForTray = true;
            file.click();
        },
        remove: () => choose(null),
        frame: () => choose({ ...props.value, crop: props.value.frame }),
        crop: async () => {
            const { cropped } = await import("./cropping.js");
            const crop = await cropped(props.value);
            if (crop !== undefined) choose({ ...props.value, crop });
        },
        direct: (opener) => {
            document.dispatchEvent(new CustomEvent("nst:direct", { detail: { opener } }));
        },
        camera: async () => {
            const { photographed } = await import("./camera.js");
            const picture = await photographed();
            if (picture) takeAll([picture]);
        },
    };
    root.addEventListener("click", (event) => {
        const button = event.target.closest("[data-act]");
        acts[button?.dataset.act]?.(button);
    });
    file.addEventListener("change", () => {
        const files = [...file.files];
        file.value = "";
        takeAll(files, isForTray);
    });

    // A dropped file, or an example that was dragged here.
    root.addEventListener("dragover", (event) => {
        event.preventDefault();
        root.classList.add("over");
    });
    root.addEventListener("dragleave", () => root.classList.remove("over"));
    root.addEventListener("drop", (event) => {
        event.preventDefault();
        event.stopPropagation();
        root.classList.remove("over");
        const example = event.dataTransfer.getData("application/x-nst-example");
        if (example) chooseOrAdd(JSON.parse(example));
        else takeAll([...event.dataTransfer.files]);
    });

    const chooseOrAdd = (value, isFirst = false) => {
        if (isSeveral && !isFirst) offerPhotos({ values: [value] });
        else choose(value);
    };

    document.addEventListener("nst:choose", ({ detail }) => {
        if (detail.role === props.role) chooseOrAdd(detail.value, detail.isFirst);
    });
    document.addEventListener("nst:file", async ({ detail }) => {
        if (detail.role === props.role) return takeAll([detail.file]);
        if (detail.role || props.role !== "content") return;
        if (isSeveral) return takeAll([detail.file]);
        const path = await send(detail.file); // a finished picture brings its settings back
        if (path) trigger("dropped", { path, name: detail.file.name });
    });
    if (props.role === "content") {
        const label = root.querySelector(".label b"), act = root.querySelector(".label .act");
        const usual = [label.textContent, act.textContent];
        document.addEventListener("nst:tray", ({ detail: { count, shown } }) => {
            isSeveral = count > 0;
            firstShown = shown;
            render();
            root.classList.toggle("several", isSeveral);
            [label.textContent, act.textContent] = isSeveral ? [`${count} photos`, "Add…"] : usual;
        });
    }
    watch("value", () => {
        render();
        if (isAwaited) showOnStage(props.value || {});
        isAwaited = false;
    });
    render();
}
