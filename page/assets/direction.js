// What a painting gives, its size and its direction: a panel below the paintings, for one of them
// at a time.
import { loadedMask, loadedPicture, maskSizeOf, shadeOf } from "./masks.js";
import { drawPlaced, groupOf, rotationText, USUAL } from "./placement.js";
import { fillRange } from "./range.js";

const PREVIEW = 320; // pixels
const LEAST_CROP = 0.02; // of width and height
const STEP = 0.05; // of the size

const GIVEN = {
    everything: "",
    strokes: "Colours and brushwork. Large shapes come from other paintings, or stay the photo’s.",
    composition:
        "Large shapes. Colours and brushwork come from other paintings, or from the start.",
};

const rounded = (scale) => Math.round(scale / STEP) * STEP;

const sides = (crop) => {
    const [left, top, right, bottom] = crop;
    return `${crop}` === `${USUAL.crop}` ? null : { left, top, right, bottom };
};

const sharesOf = (part) => {
    if (!part) return USUAL.crop;
    const [left, top] = [part.left, part.top].map((side) => Math.min(side, 1 - LEAST_CROP));
    const right = Math.max(part.right, left + LEAST_CROP);
    const bottom = Math.max(part.bottom, top + LEAST_CROP);
    return [left, top, right, bottom].map((side) => Number(side.toFixed(4)));
};

const shadeAt = async (part, image) => {
    const size = maskSizeOf(image);
    const mask = await loadedMask(part, size).catch(() => null);
    return mask && shadeOf(mask, size);
};

// `valueOf`, `nameOf`, `useOf` and `partOf` tell of the painting of a number, `change` gives it a
// use, `takePart` has the part painted that is used, and `reset` takes both back.
export class DirectionPanel {
    #number = null;
    #opener = null;
    #image = null; // the painting's display
    #shade = null; // over what of it is not used
    #drawing = 0; // which is the latest

    // `layerGroups` are names of layers by what they show of a painting.
    constructor(root, layerGroups, paintings) {
        this.root = root;
        this.layerGroups = layerGroups;
        this.paintings = paintings;
        this.canvas = this.#find("canvas");
        root.addEventListener("input", ({ target }) => this.#moved(target));
        root.addEventListener("click", ({ target }) => this.#clicked(target.closest("button")));
        root.addEventListener("keydown", (event) => {
            if (event.key !== "Escape") return;
            event.stopPropagation(); // it would stop the run
            this.close();
        });
    }

    get isOpen() {
        return this.#number !== null;
    }

    // Opens for the painting of a number, or closes where it is open for that one.
    toggle(number, opener) {
        if (this.#number === number) return this.close();
        this.#number = number;
        this.#opener = opener;
        this.root.hidden = false;
        this.show();
        this.root.scrollIntoView({ block: "nearest" });
        this.#find("[name=gives]:checked").focus({ preventScroll: true });
    }

    close() {
        this.#number = null;
        this.root.hidden = true;
        if (this.#opener?.isConnected) this.#opener.focus();
    }

    // Shows what the painting's use is now.
    show() {
        if (!this.isOpen) return;
        const value = this.paintings.valueOf(this.#number);
        if (!value) return this.close();
        const { layers, scale, rotation, mirror } = this.#use;
        this.#find(".of").textContent = this.paintings.nameOf(this.#number);
        this.#showGiven(layers);
        this.#set("scale", Math.log2(scale), `×${scale}`);
        this.#set("rotation", -rotation, rotationText(rotation));
        this.#find("[data-act=mirror]").ariaPressed = mirror;
        const part = this.paintings.partOf(this.#number);
        this.#find("[data-act=usual]").disabled = !part &&
            `${Object.values(this.#use)}` === `${Object.values(USUAL)}`;
        this.#find("[data-act=part]").textContent = part ? "Change the part…" : "Use a part…";
        this.#draw(value.shown ?? value.small, part?.shown);
    }

    get #use() {
        return this.paintings.useOf(this.#number);
    }

    #find(selector) {
        return this.root.querySelector(selector);
    }

    #set(name, value, text) {
        const range = this.#find(`[name=${name}]`);
        const output = range.nextElementSibling;
        if (output.value !== text) range.value = value; // else a key has moved it less than a step
        output.value = text;
        range.setAttribute("aria-valuetext", text);
        fillRange(range);
    }

    // Layers that are none of the groups are shown by name; they stay until a group is chosen.
    #showGiven(layers) {
        const group = groupOf(layers, this.layerGroups);
        const others = this.#find(".others");
        others.hidden = Boolean(group);
        others.querySelector("span").textContent = layers.join(", ");
        this.#find(`[name=gives][value=${group ?? "others"}]`).checked = true;
        this.#find(".given").textContent = GIVEN[group] ?? "The layers that it is tied to.";
    }

    #change(changes) {
        this.paintings.change(this.#number, { ...this.#use, ...changes });
    }

    #moved({ name, value, valueAsNumber }) {
        if (name === "gives" && value !== "others") {
            this.#change({ layers: this.layerGroups[value] ?? USUAL.layers });
        }
        if (name === "scale") {
            this.#change({ scale: Number(rounded(2 ** valueAsNumber).toFixed(2)) });
        }
        if (name === "rotation") this.#change({ rotation: -valueAsNumber || 0 });
    }

    #clicked(button) {
        const { act, turn } = button?.dataset ?? {};
        if (turn) this.#turn(Number(turn));
        else if (act === "mirror") this.#change({ mirror: !this.#use.mirror });
        else if (act === "crop") this.#crop();
        else if (act === "part") this.paintings.takePart(this.#number);
        else if (act === "usual") {
            this.paintings.reset(this.#number);
            this.#find("[name=gives]:checked").focus();
        } else if (act === "close") this.close();
    }

    #turn(degrees) {
        const rotation = this.#use.rotation + degrees;
        this.#change({
            rotation: rotation > 180 ? rotation - 360 : rotation < -180 ? rotation + 360 : rotation,
        });
    }

    async #crop() {
        const number = this.#number;
        const { shown, small } = this.paintings.valueOf(number);
        const { cropped } = await import("./cropping.js");
        const crop = sides(this.#use.crop);
        const part = await cropped({ shown: shown ?? small, crop }, { turns: false });
        if (part === undefined || number !== this.#number) return;
        this.#change({ crop: sharesOf(part) });
    }

    // What is wanted may change while it is loaded: only the latest is drawn.
    async #draw(url, part) {
        const mine = ++this.#drawing;
        const image = await this.#loadedImage(url);
        const shade = image && part ? await this.#loadedShade(part, image) : null;
        if (mine !== this.#drawing || !this.isOpen) return;
        [this.#image, this.#shade] = [image && { url, image }, shade && { part, image, shade }];
        this.canvas.hidden = !image;
        if (image) drawPlaced(this.canvas, image, this.#use, PREVIEW, shade);
    }

    #loadedImage(url) {
        if (this.#image?.url === url) return this.#image.image;
        return loadedPicture(url).catch(() => null);
    }

    #loadedShade(part, image) {
        const known = this.#shade;
        if (known?.part === part && known.image === image) return known.shade;
        return shadeAt(part, image);
    }
}
