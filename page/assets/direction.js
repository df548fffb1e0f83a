// Size and direction of a painting: a panel below the paintings, for one of them at a time.
import { loadedPicture } from "./masks.js";
import { drawPlaced, rotationText, USUAL } from "./placement.js";
import { fillRange } from "./range.js";

const PREVIEW = 320; // pixels
const LEAST_CROP = 0.02; // of width and height
const STEP = 0.05; // of the size

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

// `valueOf`, `nameOf` and `useOf` tell of the painting of a number, `change` gives it a use.
export class DirectionPanel {
    #number = null;
    #opener = null;
    #image = null; // the painting's display

    constructor(root, paintings) {
        this.root = root;
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
        this.#find("[name=scale]").focus({ preventScroll: true });
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
        const { scale, rotation, mirror } = this.#use;
        this.#find(".of").textContent = this.paintings.nameOf(this.#number);
        this.#set("scale", Math.log2(scale), `×${scale}`);
        this.#set("rotation", -rotation, rotationText(rotation));
        this.#find("[data-act=mirror]").ariaPressed = mirror;
        this.#find("[data-act=usual]").disabled = `${Object.values(this.#use)}` ===
            `${Object.values(USUAL)}`;
        this.#draw(value.shown ?? value.small);
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

    #change(changes) {
        this.paintings.change(this.#number, { ...this.#use, ...changes });
    }

    #moved({ name, valueAsNumber }) {
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
        else if (act === "usual") {
            this.#change(USUAL);
            this.#find("[name=scale]").focus();
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

    async #draw(url) {
        if (this.#image?.url !== url) {
            const image = await loadedPicture(url).catch(() => null);
            this.#image = image && { url, image };
        }
        this.canvas.hidden = !this.#image;
        if (this.#image && this.isOpen) {
            drawPlaced(this.canvas, this.#image.image, this.#use, PREVIEW);
        }
    }
}
