// The stage: what its value says is shown, and a job that is painted is followed.
import { BatchGrid } from "./batch.js";
import { follow } from "./follow.js";
import { bringIntoSight, tellHeight } from "./in_sight.js";
import { passFocus } from "./keep_focus.js";
import { STEP, Viewer } from "./viewer.js";

const SIDES = [256, 384, 512, 768, 1024]; // pixels; a slow line gets smaller previews
const SLOW = 600; // milliseconds that a preview may take
const QUICK = 200;
const TOLD = [25, 50, 75]; // percent that a screen reader is told

const title = document.title;

export default function mount({ element, props, trigger, watch }) {
    const root = element.querySelector(".stage");
    const viewer = new Viewer(root);
    const said = root.querySelector(".said");
    const toBatch = root.querySelector(".tools [data-act=batch]");
    const batch = new BatchGrid(root.querySelector(".batch"), {
        open: (photo) => trigger("open_one", photo),
        goOn: (job) => trigger("go_on", job),
    });
    const state = { leave: null, task: "", side: 2, told: 0, isLoading: false, lastPreview: "" };
    let kept = ""; // the address of the preview that is shown, which holds its bytes

    const say = (text) => {
        if (text && said.textContent !== text) said.textContent = text;
    };

    const keep = (blob) => {
        URL.revokeObjectURL(kept);
        kept = blob;
    };

    const showPreview = async (address) => {
        if (state.isLoading || !address || address === state.lastPreview) return;
        state.isLoading = true;
        const began = performance.now();
        const task = state.task;
        const needed = SIDES.findIndex((s) =>
            s >= viewer.box.clientWidth * Math.min(devicePixelRatio, 2)
        );
        const most = needed < 0 ? SIDES.length - 1 : needed;
        try {
            const url = `${address}&side=${SIDES[Math.min(state.side, most)]}`;
            const response = await fetch(url);
            if (response.status !== 200 || task !== state.task) return; // 204: it was deleted
            const blob = URL.createObjectURL(await response.blob());
            const isShown = task === state.task &&
                await viewer.load("after", blob, props.value.alt);
            if (isShown) keep(blob);
            else URL.revokeObjectURL(blob);
            if (isShown) state.lastPreview = address;
            const took = performance.now() - began;
            if (took > SLOW) state.side = Math.max(0, state.side - 1);
            else if (took < QUICK) state.side = Math.min(most, state.side + 1);
        } catch {
            // The next look tries again.
        } finally {
            state.isLoading = false;
        }
    };

    const onLook = (look) => {
        document.dispatchEvent(new CustomEvent("nst:look", { detail: look }));
        if (!look.isLive) {
            state.leave = null;
            document.title = title;
            return trigger("ended");
        }
        root.style.setProperty("--done", look.percent ?? 0);
        document.title = look.percent ? `${look.percent} % · ${props.value.name || title}` : title;
        const step = TOLD.findLast((each) => (look.percent ?? 0) >= each) ?? 0;
        if (step > state.told) say(`${step} percent painted.`);
        state.told = Math.max(state.told, step);
        if (look.photos) batch.update(look.photos);
        showPreview(look.preview);
        if (look.course !== undefined) steeredElsewhere(look.course);
    };

    // Another tab may have moved the sliders of this job.
    let course, touched = 0;
    for (const name of ["input", "pointerdown", "keydown"]) {
        document.addEventListener(name, () => touched = performance.now(), { capture: true });
    }
    const steeredElsewhere = (now) => {
        if (course === undefined) course = now;
        if (now === course || performance.now() - touched < 2000) return;
        course = now;
        trigger("steered");
    };

    const followJob = (task) => {
        state.leave?.();
        Object.assign(state, { task, told: 0, lastPreview: "", leave: null });
        course = undefined;
        if (!task) return;
        state.leave = follow(task, {
            onLook,
            onLost: () => root.dataset.line = "lost",
            onFound: () => root.dataset.line = "",
        });
    };

    // What the picture can be compared with: an option says its name, and its tag on the stage.
    const tools = root.querySelector(".tools");
    const other = tools.querySelector("select");
    const offerOthers = (chosen = other.value) => {
        const cards = [...document.querySelectorAll("#gallery [data-full]")];
        const choices = [
            { name: "the photo", tag: "Photo", url: props.value?.before },
            {
                name: "the painting",
                tag: "Painting",
                url: document.querySelector("#style img.chosen")?.src,
            },
            ...cards.map(({ ariaLabel: name, dataset }) => ({
                name,
                tag: name,
                url: dataset.full,
            })),
        ].filter(({ url }) => url);
        other.replaceChildren(...choices.map(({ name, tag, url }) => {
            const option = new Option(name, url);
            option.dataset.tag = tag;
            return option;
        }));
        if (choices.some(({ url }) => url === chosen)) other.value = chosen;
    };
    for (const name of ["pointerdown", "focus"]) other.addEventListener(name, () => offerOthers());
    other.addEventListener("change", () => {
        const { text, dataset } = other.selectedOptions[0];
        root.querySelector(".tag.before").textContent = dataset.tag;
        viewer.load("before", other.value, text);
        viewer.compare(true);
    });

    const render = () => {
        const value = props.value ?? {};
        const hadFocus = root.contains(document.activeElement);
        bringIntoSight(root);
        root.dataset.live = Boolean(value.isLive);
        root.dataset.kind = value.kind ?? "";
        batch.show(value);
        toBatch.hidden = !value.batch;
        toBatch.textContent = value.batch ? `‹ All ${value.batchName}` : "";
        root.querySelector(".tag.before").textContent = value.beforeName ?? "Before";
        root.querySelector(".tag.after").textContent = value.afterName ?? "After";
        viewer.load("before", value.before, value.beforeAlt);
        if (!value.isLive || !state.lastPreview || state.task !== value.job) {
            viewer.load("after", value.after, value.alt).then((isShown) => isShown && keep(""));
        }
        viewer.compare(Boolean(value.compares));
        offerOthers(value.before);
        const next = value.kind === "batch" ? batch.list : value.batch ? toBatch : viewer.box;
        if (hadFocus) passFocus(next);
        const task = value.isLive ? value.job : "";
        if (task !== state.task || (task && !state.leave)) followJob(task);
        say(value.said);
        if (!value.isLive) root.style.setProperty("--done", 0);
    };

    const acts = {
        batch: () => trigger("open_batch", { job: props.value.batch }),
        compare: () => viewer.compare(!viewer.isComparing),
        smaller: () => viewer.zoomBy(1 / STEP),
        larger: () => viewer.zoomBy(STEP),
        true: () => viewer.zoomIn(),
        full: () => viewer.toggleFull(),
    };
    tools.addEventListener("click", (event) => {
        acts[event.target.closest("button[data-act]")?.dataset.act]?.();
    });
    const holder = tools.querySelector("[data-act=hold]");
    for (const name of ["pointerdown", "keydown"]) {
        holder.addEventListener(name, (event) => {
            if (name === "pointerdown" || [" ", "Enter"].includes(event.key)) viewer.hold(true);
        });
    }
    for (const name of ["pointerup", "pointercancel", "pointerleave", "keyup", "blur"]) {
        holder.addEventListener(name, () => viewer.hold(false));
    }
    holder.addEventListener("contextmenu", (event) => event.preventDefault());

    root.addEventListener("viewchange", () => {
        const { after, before } = viewer.images;
        const has = { compare: !before.hidden && !after.hidden, hold: !before.hidden };
        for (const [act, isThere] of Object.entries(has)) {
            tools.querySelector(`[data-act=${act}]`).disabled = !isThere;
        }
        other.disabled = !has.compare;
        tools.querySelector("[data-act=compare]").ariaPressed = viewer.isComparing;
        tools.querySelector("[data-act=full]").ariaPressed = viewer.isFull;
        const percent = Math.round(100 * viewer.zoom.getScale() / viewer.trueScale);
        tools.querySelector("[data-act=true]").textContent = `${percent} %`;
    });
    // A picture that was painted stays, with all that can be done with it, until the next begins.
    document.addEventListener("nst:photo", ({ detail }) => {
        if (["job", "batch"].includes(props.value.kind) || !detail.url) return;
        props.value = {
            kind: "photo",
            after: detail.url,
            alt: "Your photo",
            name: props.value.name,
        };
        render();
    });
    document.addEventListener("nst:mode", () => bringIntoSight(root));
    tellHeight(element.closest("#result-panel"));
    watch("value", render);
    render();
}
