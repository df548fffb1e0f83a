// A picture to choose: from a file, the clipboard, a drop, the camera or the examples.
import { noteChosen } from "./chosen.js";
import { history } from "./history.js";
import { latestOnly, reasonOf, TAKERS } from "./sending.js";

const NOT_SENT = "The picture could not be sent. Please try again.";
const WAITS = "It begins when the picture has been sent.";

export default function mount({ element, props, trigger, watch, upload }) {
    const root = element.querySelector(".picture-input");
    const image = root.querySelector("img.chosen");
    const file = root.querySelector("input[type=file]");
    const notice = root.querySelector(".notice");
    const label = root.querySelector(".label b"), act = root.querySelector(".label .act");
    const uploads = latestOnly(TAKERS[props.role]);
    let turn = 0;
    let isAwaited = false; // the server's display of what was chosen
    let isSeveral = false; // there are photos in the tray, and what is chosen joins them
    let firstShown = ""; // the first of them
    let isForTray = false; // what is chosen next does
    let latest = null; // the latest choice
    let good = props.value; // the latest value that can be used

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
        act.textContent = isSeveral ? "Add…" : small ? "Replace…" : "Choose or drop…";
        root.querySelector(".frame").hidden = !frame || Boolean(crop);
        noteChosen(props.role, props.value || null);
    };

    const showOnStage = ({ shown } = {}) => {
        if (props.role !== "content" || !shown) return;
        document.dispatchEvent(new CustomEvent("nst:photo", { detail: { url: shown } }));
    };

    const choose = (value) => {
        uploads.drop();
        turn++;
        say("");
        root.classList.remove("busy");
        latest = props.value = value;
        if (!value?.file && !value?.crop) good = value; // an example, of which there is no news
        isAwaited = true;
        render();
        showOnStage(value ?? {});
        trigger("choose");
    };

    // Sends a picture to the server, and has it taken there, unless something else is chosen first.
    const send = async (picture, taken) => {
        const mine = ++turn;
        say("");
        root.classList.add("busy");
        const sent = upload(picture).then(({ path }) => mine === turn && taken(path));
        try {
            await uploads.send(sent, () => say(WAITS));
        } catch (error) {
            if (mine === turn) say(reasonOf(error, NOT_SENT));
        } finally {
            if (mine === turn) {
                root.classList.remove("busy");
                if (notice.textContent === WAITS) say("");
            }
        }
    };

    const take = (picture) =>
        send(picture, (path) => {
            const shown = URL.createObjectURL(picture);
            choose({ file: { path }, example: null, crop: null, shown, name: picture.name });
        });

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

    document.addEventListener("nst:notice", ({ detail }) => {
        if (detail.role === props.role) say(detail.text);
    });
    document.addEventListener("nst:choose", ({ detail }) => {
        if (detail.role === props.role) chooseOrAdd(detail.value, detail.isFirst);
    });
    document.addEventListener("nst:file", ({ detail }) => {
        if (detail.role === props.role) return takeAll([detail.file]);
        if (detail.role || props.role !== "content") return;
        if (isSeveral) return takeAll([detail.file]);
        send(detail.file, (path) => { // a finished picture brings its settings back
            trigger("dropped", { path, name: detail.file.name });
            return new Promise((done) => {
                document.addEventListener("nst:answered", done, { once: true });
            });
        });
    });
    if (props.role === "content") {
        const usual = label.textContent;
        document.addEventListener("nst:tray", ({ detail: { count, shown } }) => {
            isSeveral = count > 0;
            firstShown = shown;
            render();
            root.classList.toggle("several", isSeveral);
            label.textContent = isSeveral ? `${count} photos` : usual;
        });
    }
    // Goes back to what was there before something that cannot be used, or stays with what was
    // chosen since; undo knows nothing of it.
    const takeBack = (refused) => {
        const isLatest = refused.file?.path === latest?.file?.path;
        history.withdraw(isLatest ? latest : refused);
        const back = isLatest ? good : latest;
        if (isLatest) good = null; // should that not be usable any more either
        choose(back);
        say(refused.refused);
    };

    watch("value", () => {
        if (props.value?.refused) return takeBack(props.value);
        history.accept(props.value);
        good = props.value;
        render();
        if (isAwaited) showOnStage(props.value || {});
        isAwaited = false;
    });
    render();
}
