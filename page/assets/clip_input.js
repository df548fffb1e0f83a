// A clip to choose: from a file, a drop or the camera; then two handles that trim it.
import { latestOnly, reasonOf, TAKERS } from "./sending.js";

const TILES = 12; // of the strip behind the handles
const NUDGE = 0.1; // seconds that an arrow key moves a handle
const LEAP = 1; // the same of Page Up and Page Down
const SHORTEST = 0.1; // seconds between the handles

const READING = "Reading the clip…";
const WAITS = "It begins when the clip has been sent.";

const wait = (target, event) =>
    new Promise((done) => {
        for (const name of [event, "error"]) target.addEventListener(name, done, { once: true });
    });

const inSeconds = (time) => `${time.toFixed(1)} s`;

export default function mount({ element, props, trigger, watch, upload }) {
    const root = element.querySelector(".clip-input");
    const video = root.querySelector("video");
    const file = root.querySelector("input[type=file]");
    const notice = root.querySelector(".notice");
    const trim = root.querySelector(".trim");
    const way = root.querySelector(".way");
    const canvas = root.querySelector("canvas");
    const handles = [...root.querySelectorAll(".handle")];
    const selects = Object.fromEntries(
        ["rate", "size"].map((name) => [name, root.querySelector(`[name=${name}]`)]),
    );
    const uploads = latestOnly(TAKERS.clip);
    let turn = 0, drawn = "";

    const say = (text) => {
        notice.textContent = text;
        notice.hidden = !text;
    };

    // The stage shows the frame at the handle that moves.
    const tell = (time) => {
        const { shown, begin, end } = props.value;
        document.dispatchEvent(
            new CustomEvent("nst:clip", { detail: { url: shown, begin, end, time } }),
        );
    };

    const options = ({ ownRate }) => {
        const rates = props.rates.filter((rate) => rate < ownRate - 0.5);
        const own = `as filmed (${Math.round(10 * ownRate) / 10})`;
        return {
            rate: [[own, 0], ...rates.map((rate) => [rate, rate])],
            size: props.sizes.map((size) => [`${size} px`, size]),
        };
    };

    const render = () => {
        const value = props.value || {};
        const isReady = Boolean(value.shown);
        root.classList.toggle("empty", !isReady);
        video.hidden = trim.hidden = !isReady;
        root.querySelector(".act").textContent = isReady ? "Replace…" : "Choose or drop…";
        if (!isReady) return;
        if (value.shown !== drawn) {
            drawn = value.shown;
            video.src = value.shown;
            for (const [name, choices] of Object.entries(options(value))) {
                selects[name].replaceChildren(...choices.map((each) => new Option(...each)));
            }
            drawStrip(value);
            say("");
            tell(value.begin);
        }
        for (const [name, select] of Object.entries(selects)) select.value = value[name];
        for (const handle of handles) {
            const time = value[handle.dataset.end];
            handle.style.setProperty("--at", time / value.seconds);
            handle.ariaValueMin = 0;
            handle.ariaValueMax = value.seconds.toFixed(1);
            handle.ariaValueNow = time.toFixed(1);
            handle.ariaValueText = inSeconds(time);
        }
        way.style.setProperty("--begin", value.begin / value.seconds);
        way.style.setProperty("--end", value.end / value.seconds);
        const length = inSeconds(value.end - value.begin);
        root.querySelector(".times").textContent = `${inSeconds(value.begin)} to ${
            inSeconds(value.end)
        }: ${length} of ${inSeconds(value.seconds)}`;
    };

    // Frames of the clip, side by side.
    const drawStrip = async ({ shown, seconds, width, height }) => {
        const source = Object.assign(document.createElement("video"), {
            muted: true,
            playsInline: true,
            preload: "auto",
            src: shown,
        });
        canvas.width = 2 * way.clientWidth || 600;
        canvas.height = 2 * way.clientHeight || 96;
        const context = canvas.getContext("2d");
        const across = canvas.width / TILES;
        const scale = Math.max(across / width, canvas.height / height);
        const part = [across / scale, canvas.height / scale];
        await wait(source, "loadeddata");
        for (let tile = 0; tile < TILES && drawn === shown; tile++) {
            source.currentTime = (tile + 0.5) / TILES * seconds;
            await wait(source, "seeked");
            const { videoWidth: w, videoHeight: h } = source;
            if (!w || drawn !== shown) return;
            context.drawImage(
                source,
                ...[(w - part[0]) / 2, (h - part[1]) / 2, ...part],
                ...[tile * across, 0, across, canvas.height],
            );
        }
    };

    const move = (end, time) => {
        const { seconds, begin, end: last } = props.value;
        const [low, high] = end === "begin" ? [0, last - SHORTEST] : [begin + SHORTEST, seconds];
        const at = Math.min(Math.max(time, Math.min(low, high)), Math.max(low, high));
        props.value = { ...props.value, [end]: at };
        render();
        video.currentTime = at;
        tell(at);
    };

    for (const handle of handles) {
        const end = handle.dataset.end;
        let isMoving = false;
        handle.addEventListener("pointerdown", (event) => {
            isMoving = true;
            handle.setPointerCapture(event.pointerId);
        });
        handle.addEventListener("pointermove", ({ clientX }) => {
            if (!isMoving) return;
            const { left, width } = way.getBoundingClientRect();
            move(end, (clientX - left) / width * props.value.seconds);
        });
        for (const name of ["pointerup", "pointercancel"]) {
            handle.addEventListener(name, () => {
                if (isMoving) trigger("edit");
                isMoving = false;
            });
        }
        handle.addEventListener("keydown", (event) => {
            const { seconds } = props.value;
            const by = {
                ArrowRight: NUDGE,
                ArrowUp: NUDGE,
                ArrowLeft: -NUDGE,
                ArrowDown: -NUDGE,
                PageUp: LEAP,
                PageDown: -LEAP,
                Home: -seconds,
                End: seconds,
            }[event.key];
            if (by === undefined) return;
            event.preventDefault();
            event.stopPropagation();
            move(end, props.value[end] + by);
            trigger("edit");
        });
    }
    for (const [name, select] of Object.entries(selects)) {
        select.addEventListener("change", () => {
            props.value = { ...props.value, [name]: Number(select.value) };
            trigger("edit");
        });
    }

    const take = async (clip) => {
        if (clip.size > props.most) {
            return say(
                `The clip is larger than ${Math.floor(props.most / 1e6)} MB, the most here.`,
            );
        }
        const mine = ++turn;
        root.classList.add("busy");
        say("Sending the clip…");
        try {
            const sent = await uploads.send(upload(clip), () => say(WAITS));
            if (mine !== turn) return; // another one has been chosen
            say(READING);
            drawn = "";
            props.value = { file: { path: sent.path }, name: clip.name };
            render();
            trigger("choose");
        } catch (error) {
            say(reasonOf(error, "The clip could not be sent. Please try again."));
        } finally {
            if (mine === turn) root.classList.remove("busy");
        }
    };

    const acts = {
        replace: () => file.click(),
        record: async () => {
            const { recorded } = await import("./recorder.js");
            const clip = await recorded();
            if (clip) take(clip);
        },
    };
    root.addEventListener("click", ({ target }) => {
        acts[target.closest("[data-act]")?.dataset.act]?.();
    });
    file.addEventListener("change", () => {
        const [clip] = file.files;
        file.value = "";
        if (clip) take(clip);
    });
    root.addEventListener("dragover", (event) => {
        event.preventDefault();
        root.classList.add("over");
    });
    root.addEventListener("dragleave", () => root.classList.remove("over"));
    root.addEventListener("drop", (event) => {
        event.preventDefault();
        event.stopPropagation();
        root.classList.remove("over");
        const [clip] = event.dataTransfer.files;
        if (clip) take(clip);
    });
    document.addEventListener("nst:file", ({ detail }) => {
        if (detail.role === "clip") take(detail.file);
    });
    // What the film is painted with has changed, and so may the time that it takes.
    let timer;
    for (const name of ["nst:changed", "nst:mode"]) {
        document.addEventListener(name, () => {
            clearTimeout(timer);
            if (document.documentElement.dataset.mode !== "film" || !props.value?.shown) return;
            timer = setTimeout(() => trigger("edit"), 400);
        });
    }
    watch("value", () => {
        const { shown, refusal } = props.value || {};
        if (refusal) say(refusal);
        if (shown || refusal) render();
    });
    render();
}
