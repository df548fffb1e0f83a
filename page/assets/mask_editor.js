// Paints masks, in a dialog: regions of the photo, where what is covered by a colour is ruled by a
// painting or left as it is; or the part of a painting that is used.
import { opened } from "./dialog.js";
import {
    cleared,
    drawOverlay,
    emptyMask,
    filled,
    gradient,
    inverted,
    isEmpty,
    isFull,
    joined,
    loadedMask,
    loadedPicture,
    maskSizeOf,
    Stroke,
} from "./masks.js";
import { fillRange } from "./range.js";
import { COLORS, elsewhere, firstFree, MOST_REGIONS, REST, TOO_MANY } from "./regions.js";

const MOST_STEPS = 40; // that can be undone
const LARGEST = 0.3; // radius of the brush, as a share of the longest side
const OPACITY = { active: 0.7, other: 0.5 }; // of a region that is covered whole
const MOST_STRENGTH = 4;
const CANVAS_HELP = "Arrow keys move the brush, the space bar sets it down and lifts it.";
const POINT_SIZE = 0.012; // of the ring that shows a point, as a share of the width
const PART_COLOR = 3; // of `COLORS`; few paintings have much of it
const NOT_SHOWN = "The mask cannot be shown; please try again.";
const KEEP_OR_DROP = "Press Done to keep what you painted, or Cancel to drop what you changed.";

const TOOLS = {
    brush: {
        label: "Brush",
        path: "M9.5 14.5 20 4M9.5 14.5c-3-.5-5 1-5 5.5 4 0 6.5-1.5 5-5.5z",
    },
    eraser: { label: "Eraser", path: "m8 20-5-5L14 4l6 6-10 10zM9 9l6 6M8 20h12" },
    gradient: {
        label: "Gradient",
        path: "M4 4h16v16H4zM4 20 20 4M8 20l12-12M14 20l6-6",
        aim: "Drag from where it is full to where it ends.",
    },
    similar: {
        label: "Similar area",
        path: "m4 20 9-9M15 3v4M13 5h4M19 10v4M17 12h4M8 4v2M7 5h2",
        aim: "Click a place: what looks like it, up to the next edge, is added to the region.",
    },
};

// What the server finds in the photo and adds to a region. Faces are rather left as they are.
const FINDS = {
    faces: { label: "Find faces", doing: "Looking for faces…", isKept: true },
    subject: { label: "Select the subject", doing: "Looking for the subject…" },
    similar: { doing: "Looking for the area…" }, // a tool has it
};

// What a button does with the whole mask of the active region. It may take its time.
const WHOLE = {
    fill: { label: "Fill", made: filled },
    invert: { label: "Invert", made: inverted },
    clear: { label: "Clear", made: cleared },
};

// What the dialog says of a photo's regions.
const REGIONS = {
    title: "Paint regions",
    hint: "Paint over a part of the photo, then say which painting rules there.",
    area: "The photo and its regions.",
};

const rgb = COLORS.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));

const element = (markup) => {
    const template = document.createElement("template");
    template.innerHTML = markup.trim();
    return template.content.firstElementChild;
};

const icon = (path) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}" /></svg>`;

const MARKUP = `
<dialog class="nst-dialog regions" aria-labelledby="regions-title" tabindex="-1">
    <div class="pane">
        <div class="photo">
            <img alt="">
            <canvas tabindex="0" role="application" aria-roledescription="painting area"></canvas>
            <span class="ring" hidden></span>
        </div>
    </div>
    <div class="side">
        <h2 id="regions-title"></h2>
        <p class="hint"></p>
        <div class="tools" role="radiogroup" aria-label="Tool">${
    Object.entries(TOOLS).map(([name, { label, path }]) =>
        `<label><input type="radio" name="tool" value="${name}">${icon(path)}<span>${label}</span>
        </label>`
    ).join("")
}</div>
        <div class="brush">
            <label>Size <input type="range" name="size" min="4" max="100" value="35"></label>
            <label>Hardness <input type="range" name="hardness" min="0" max="100" value="40"></label>
        </div>
        <p class="hint aim"></p>
        <div class="acts finds">${
    Object.entries(FINDS).filter(([, { label }]) => label).map(([kind, { label }]) =>
        `<button type="button" data-find="${kind}">${label}</button>`
    ).join("")
}</div>
        <div class="acts">
            <button type="button" data-act="undo" aria-label="Undo" title="Undo (Ctrl Z)">${
    icon("M9 5 4 10l5 5M4 10h10a6 6 0 0 1 0 12h-3")
}</button>
            <button type="button" data-act="redo" aria-label="Redo" title="Redo (Ctrl Shift Z)">${
    icon("m15 5 5 5-5 5M20 10H10a6 6 0 0 0 0 12h3")
}</button>
            <span class="gap"></span>${
    Object.entries(WHOLE).map(([name, { label }]) =>
        `<button type="button" data-act="${name}">${label}</button>`
    ).join("")
}</div>
        <ul class="legend" aria-label="Regions"></ul>
        <button type="button" class="add" data-act="add">Add a region</button>
        <p class="hint rest"></p>
        <p class="said" role="status"></p>
    </div>
    <form method="dialog">
        <button value="">Cancel</button>
        <button value="done" class="primary">Done</button>
    </form>
</dialog>`;

class MaskEditor {
    #steps = [];
    #at = -1;
    #stroke = null; // { pointer, mask } while the brush is down
    #cursor;

    // Without `askForMask` there is one region alone, of a picture of which the server finds nothing.
    constructor(image, regions, { names, askForMask = null, words = REGIONS }) {
        this.names = names;
        this.askForMask = askForMask;
        this.size = maskSizeOf(image);
        this.dialog = element(MARKUP);
        this.canvas = this.#find("canvas");
        this.ring = this.#find(".ring");
        this.context = this.canvas.getContext("2d");
        this.#cursor = { x: this.size.width / 2, y: this.size.height / 2 };
        Object.assign(this.canvas, this.size);
        this.#find("img").src = image.src;
        this.#find(".photo").style.setProperty("--ratio", this.size.width / this.size.height);
        this.#find("[value=brush]").checked = true;
        this.#find("h2").textContent = words.title;
        this.#find(".hint").textContent = words.hint;
        this.canvas.ariaLabel = `${words.area} ${CANVAS_HELP}`;
        this.dialog.classList.toggle("single", !askForMask);
        this.#listen();
        this.#commit(regions.length ? regions : [this.#newRegion([])], 0);
    }

    // Resolves to the regions, or to nothing where the visitor has gone back.
    async run() {
        const closed = opened(this.dialog);
        this.canvas.focus({ preventScroll: true });
        await closed;
        this.dialog.remove();
        if (this.dialog.returnValue !== "done") return undefined;
        return this.#state.regions.filter(({ mask }) => !isEmpty(mask));
    }

    get #state() {
        return this.#steps[this.#at];
    }

    get #tool() {
        return this.#find("[name=tool]:checked").value;
    }

    get #radius() {
        const share = this.#find("[name=size]").valueAsNumber / 100;
        return LARGEST * share ** 1.6 * Math.max(this.size.width, this.size.height);
    }

    #find(selector) {
        return this.dialog.querySelector(selector);
    }

    get #isBusy() {
        return this.dialog.classList.contains("busy");
    }

    // A new region is for the latest painting without one; where there is none, it is left as it is.
    #newRegion(regions) {
        const hasRegion = (number) => regions.some(({ painting }) => painting === number);
        const numbers = this.names.map((_, number) => number).slice(1);
        const painting = numbers.findLast((number) => !hasRegion(number)) ?? null;
        return { mask: emptyMask(this.size), painting, strength: 1, color: firstFree(regions) };
    }

    // Goes on with these regions; what was before can be brought back.
    #commit(regions, active = this.#state.active) {
        this.#steps.splice(this.#at + 1);
        this.#steps.push({ regions, active });
        if (this.#steps.length > MOST_STEPS) this.#steps.shift();
        this.#at = this.#steps.length - 1;
        this.#show();
    }

    #step(by) {
        if (!this.#steps[this.#at + by]) return;
        this.#at += by;
        this.#show();
        this.#say(by < 0 ? "Undone." : "Done again.");
    }

    #change(number, changes) {
        const changed = (region, at) => at === number ? { ...region, ...changes } : region;
        this.#commit(this.#state.regions.map(changed));
    }

    #say(text) {
        this.#find(".said").textContent = text;
    }

    #show() {
        const { regions } = this.#state;
        this.#enable("undo", Boolean(this.#steps[this.#at - 1]));
        this.#enable("redo", Boolean(this.#steps[this.#at + 1]));
        for (const name of Object.keys(WHOLE)) this.#enable(name, regions.length > 0);
        this.#find(".rest").textContent = elsewhere(regions, this.names);
        this.#say("");
        this.#showLegend();
        this.#draw();
        this.#showTool();
    }

    // A button that had the focus when it went out would leave the keyboard outside of the dialog.
    #enable(act, isEnabled) {
        const button = this.#find(`[data-act=${act}]`);
        if (!isEnabled && button === document.activeElement) this.canvas.focus();
        button.disabled = !isEnabled;
    }

    #showTool() {
        this.dialog.dataset.tool = this.#tool;
        this.#find(".aim").textContent = TOOLS[this.#tool].aim ?? "";
        const diameter = this.#tool === "similar" ? POINT_SIZE : 2 * this.#radius / this.size.width;
        this.ring.style.setProperty("--diameter", diameter);
        this.dialog.querySelectorAll(".brush [type=range]").forEach(fillRange);
    }

    #showLegend() {
        const focused = document.activeElement?.dataset?.part;
        this.#find(".legend").replaceChildren(...this.#state.regions.map(this.#row, this));
        if (focused) this.#find(`[data-part="${focused}"]`)?.focus();
    }

    #row({ painting, strength, color }, number) {
        const name = `Region ${number + 1}`;
        const row = element(`
            <li style="--color: ${COLORS[color]}">
                <button type="button" class="pick" data-part="pick ${number}"
                    aria-pressed="${number === this.#state.active}"><i></i>${name}</button>
                <select data-part="ruler ${number}" aria-label="What rules ${name}"></select>
                <button type="button" class="delete" data-part="delete ${number}"
                    aria-label="Delete ${name}" title="Delete">×</button>
                <label class="strength">Strength
                    <input type="range" data-part="strength ${number}" min="0" max="${MOST_STRENGTH}"
                        step="0.05" aria-label="Strength of the painting in ${name}">
                    <output></output></label>
            </li>`);
        const ruler = row.querySelector("select");
        ruler.append(...this.names.map((each, at) => new Option(`${at + 1} · ${each}`, at)));
        ruler.append(new Option("As elsewhere", REST), new Option("Leave as it is", ""));
        ruler.value = painting ?? "";
        const range = row.querySelector("[type=range]");
        const output = row.querySelector("output");
        range.value = strength;
        output.value = `×${strength}`;
        fillRange(range);
        row.querySelector(".strength").hidden = painting === null;
        row.classList.toggle("keep", painting === null);
        ruler.addEventListener("change", () => {
            const isNumber = ruler.value !== "" && ruler.value !== REST;
            this.#change(number, {
                painting: isNumber ? Number(ruler.value) : ruler.value || null,
            });
        });
        range.addEventListener("input", () => output.value = `×${range.valueAsNumber}`);
        range.addEventListener("change", () => {
            this.#change(number, { strength: range.valueAsNumber });
        });
        row.querySelector(".pick").addEventListener("click", () => this.#pick(number));
        row.querySelector(".delete").addEventListener("click", () => this.#delete(number));
        return row;
    }

    #pick(number) {
        this.#steps[this.#at] = { ...this.#state, active: number }; // no step of its own
        this.#show();
    }

    #delete(number) {
        const regions = this.#state.regions.filter((_, at) => at !== number);
        this.#commit(regions, Math.max(0, Math.min(this.#state.active, regions.length - 1)));
        this.#say(`Region ${number + 1} is deleted.`);
        this.#find("[data-act=add]").focus();
    }

    #add() {
        const { regions } = this.#state;
        if (regions.length >= MOST_REGIONS) return this.#say(TOO_MANY);
        this.#commit([...regions, this.#newRegion(regions)], regions.length);
    }

    async #makeWhole({ label, made }) {
        const { regions, active } = this.#state;
        const mask = await made(regions[active].mask);
        this.#change(active, { mask });
        this.#say(`${label}: done.`);
    }

    // Adds what the server finds to a region. Nothing is painted meanwhile.
    async #addFound(wanted) {
        if (this.#isBusy) return;
        const { doing, isKept } = FINDS[wanted.kind];
        this.dialog.classList.add("busy");
        this.#say(doing);
        const { shown, said = NOT_SHOWN } = await this.askForMask(wanted);
        const mask = shown && await loadedMask(shown, this.size).catch(() => null);
        this.dialog.classList.remove("busy");
        if (!mask) return this.#say(said);
        if (isKept) this.#keep(mask);
        else this.#join(mask);
    }

    #join(mask) {
        const { active } = this.#state;
        this.#put(mask, active);
        this.#say(`It is added to Region ${active + 1}.`);
    }

    // Leaves a mask as it is: in the region at hand where that is free for it, or in a new one.
    #keep(mask) {
        const { regions, active } = this.#state;
        const present = regions[active];
        const isFree = present && (isEmpty(present.mask) || present.painting === null);
        if (!isFree && regions.length >= MOST_REGIONS) return this.#say(TOO_MANY);
        const at = isFree ? active : regions.length;
        this.#put(mask, at, { painting: null });
        this.#say(`The faces are in Region ${at + 1}, which is left as it is.`);
    }

    // Adds a mask to the region of a number, or to a new one where there is none.
    #put(mask, number, changes = {}) {
        const { regions } = this.#state;
        const base = regions[number] ?? this.#newRegion(regions);
        const region = { ...base, ...changes, mask: joined(base.mask, mask) };
        this.#commit(regions.toSpliced(number, 1, region), number);
    }

    // Draws the regions over the photo, within a box of the mask.
    #draw(box = { left: 0, top: 0, right: this.size.width, bottom: this.size.height }) {
        const [width, height] = [box.right - box.left, box.bottom - box.top];
        if (width <= 0 || height <= 0) return;
        const { regions, active } = this.#state;
        const layers = regions.map(({ mask, painting, color }, number) => ({
            mask: number === active && this.#stroke ? this.#stroke.mask : mask,
            color: rgb[color],
            opacity: number === active ? OPACITY.active : OPACITY.other,
            isStriped: painting === null,
        }));
        const drawn = this.context.createImageData(width, height);
        drawOverlay(drawn.data, layers, box, this.size);
        this.context.putImageData(drawn, box.left, box.top);
    }

    #listen() {
        const { dialog, canvas } = this;
        dialog.addEventListener("click", ({ target }) => {
            const act = target.closest("[data-act]")?.dataset.act;
            const kind = target.closest("[data-find]")?.dataset.find;
            if (kind) this.#addFound({ kind });
            else if (act === "undo" || act === "redo") this.#step(act === "undo" ? -1 : 1);
            else if (act === "add") this.#add();
            else if (act) this.#makeWhole(WHOLE[act]);
        });
        dialog.addEventListener("cancel", (event) => {
            if (this.#at < 1) return;
            event.preventDefault();
            this.#say(KEEP_OR_DROP);
        });
        dialog.addEventListener("input", ({ target }) => {
            if (target.type === "range") fillRange(target);
            this.#showTool();
        });
        dialog.addEventListener("keydown", (event) => this.#pressed(event));
        canvas.addEventListener("keydown", (event) => this.#steered(event));
        canvas.addEventListener("pointerdown", (event) => this.#down(event));
        canvas.addEventListener("pointermove", (event) => this.#moved(event));
        canvas.addEventListener("pointerup", (event) => this.#up(event));
        canvas.addEventListener("pointercancel", (event) => this.#up(event, { isKept: false }));
        canvas.addEventListener("pointerleave", () => this.ring.hidden = true);
        canvas.addEventListener("blur", () => {
            if (this.#stroke?.pointer === "keyboard") this.#lift();
            this.ring.hidden = true;
        });
        canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    }

    #pointOf({ clientX, clientY, pointerType, pressure }) {
        const { left, top, width, height } = this.canvas.getBoundingClientRect();
        return {
            x: (clientX - left) / width * this.size.width - 0.5,
            y: (clientY - top) / height * this.size.height - 0.5,
            radius: this.#radius * (pointerType === "pen" ? 0.3 + 0.7 * pressure : 1),
        };
    }

    #down(event) {
        if (event.button || this.#stroke) return;
        event.preventDefault();
        this.canvas.focus({ preventScroll: true });
        this.canvas.setPointerCapture(event.pointerId);
        this.#begin(event.pointerId, this.#pointOf(event));
    }

    #moved(event) {
        const point = this.#pointOf(event);
        this.#showRing(point, event.pointerType !== "touch");
        if (this.#stroke?.pointer !== event.pointerId) return;
        const isStroke = this.#stroke instanceof Stroke;
        const passed = isStroke ? event.getCoalescedEvents?.() ?? [] : [];
        for (const each of passed.length ? passed : [event]) this.#go(this.#pointOf(each));
    }

    #up({ pointerId }, { isKept = true } = {}) {
        if (this.#stroke?.pointer === pointerId) this.#lift({ isKept });
    }

    #begin(pointer, point) {
        if (this.#isBusy) return;
        if (this.#tool === "similar") {
            const { width, height } = this.size;
            const [x, y] = [(point.x + 0.5) / width, (point.y + 0.5) / height];
            return this.#addFound({ kind: "similar", x, y });
        }
        const { regions, active } = this.#state;
        if (!regions.length) return this.#say("Add a region first.");
        const before = regions[active].mask;
        if (this.#tool === "gradient") {
            this.#stroke = { pointer, mask: before, from: point };
            return;
        }
        const hardness = this.#find("[name=hardness]").valueAsNumber / 100;
        this.#stroke = new Stroke(before, this.size, { hardness, erases: this.#tool === "eraser" });
        this.#stroke.pointer = pointer;
        this.#go(point);
    }

    #go(point) {
        const stroke = this.#stroke;
        if (stroke instanceof Stroke) return this.#draw(stroke.to(point));
        stroke.mask = gradient(this.size, stroke.from, point);
        this.#draw();
    }

    #lift({ isKept = true } = {}) {
        const { mask } = this.#stroke;
        const { regions, active } = this.#state;
        this.#stroke = null;
        if (isKept && mask !== regions[active].mask) this.#change(active, { mask });
        else this.#draw();
    }

    #showRing({ x, y }, isShown = true) {
        this.ring.hidden = !isShown;
        this.ring.style.left = `${100 * (x + 0.5) / this.size.width}%`;
        this.ring.style.top = `${100 * (y + 0.5) / this.size.height}%`;
    }

    #pressed(event) {
        const key = event.key.toLowerCase();
        if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
            event.preventDefault();
            if (!this.#stroke) this.#step(key === "y" || event.shiftKey ? 1 : -1);
        } else if (key === "[" || key === "]") {
            const size = this.#find("[name=size]");
            size.valueAsNumber += key === "[" ? -5 : 5;
            this.#showTool();
        }
    }

    // Paints by the keyboard.
    #steered(event) {
        const [dx, dy] = {
            ArrowLeft: [-1, 0],
            ArrowRight: [1, 0],
            ArrowUp: [0, -1],
            ArrowDown: [0, 1],
        }[event.key] ?? [0, 0];
        const isPress = event.key === " " || event.key === "Enter";
        if (!isPress && !dx && !dy) return;
        event.preventDefault();
        const length = Math.max(this.size.width, this.size.height) / (event.shiftKey ? 10 : 50);
        const { width, height } = this.size;
        this.#cursor = {
            x: Math.min(Math.max(this.#cursor.x + dx * length, 0), width - 1),
            y: Math.min(Math.max(this.#cursor.y + dy * length, 0), height - 1),
        };
        this.#showRing(this.#cursor);
        const point = { ...this.#cursor, radius: this.#radius };
        if (isPress && this.#stroke) this.#lift();
        else if (isPress) this.#begin("keyboard", point);
        else if (this.#stroke) this.#go(point);
        if (isPress && this.#tool !== "similar") {
            this.#say(this.#stroke ? "The brush is down." : "The brush is up.");
        }
    }
}

// Displays of one picture may differ by a pixel, and masks with them.
const maskOf = async ({ shown }, size, known) => {
    const mask = known.get(shown);
    return mask?.length === size.width * size.height ? mask : await loadedMask(shown, size);
};

// Resolves to the regions that were painted, with their masks; to nothing where the visitor has gone
// back. `photo` is an address, `names` are those of the paintings. A region that was not changed has
// the same `mask` as in `known`, which holds those that were loaded, by their address. `askForMask`
// asks the server for one.
export async function paintedRegions({ photo, regions, names, known, askForMask }) {
    const image = await loadedPicture(photo);
    const size = maskSizeOf(image);
    const masks = await Promise.all(regions.map((region) => maskOf(region, size, known)));
    const painted = regions.map((region, number) => ({ ...region, mask: masks[number] }));
    const made = await new MaskEditor(image, painted, { names, askForMask }).run();
    return made && { regions: made, size, loaded: masks };
}

// Resolves to the mask of the part of a painting that is used, null for all of it, with its
// size; to nothing where the visitor has gone back. `painting` is an address, `part` what was painted
// before, if anything was, and `known` as above.
export async function paintedPart({ painting, part, name, known }) {
    const image = await loadedPicture(painting);
    const size = maskSizeOf(image);
    const mask = part ? await maskOf(part, size, known) : emptyMask(size);
    const regions = [{ mask, painting: 0, strength: 1, color: PART_COLOR }];
    const words = {
        title: "Use a part",
        hint: `Paint over what is used of ${name}: strokes, shapes and colours come from there.` +
            " Paint nothing to use all of it.",
        area: "The painting, and the part that is used.",
    };
    const made = await new MaskEditor(image, regions, { names: [name], words }).run();
    const painted = made?.[0]?.mask;
    return made && { mask: painted && !isFull(painted) ? painted : null, size };
}
