// What the visitor chose, step by step, for undo and redo. A burst of changes, as a look makes one,
// is one step.
import { essenceOf } from "./chosen.js";

const QUIET = 350; // milliseconds without a change after which a step is complete
const MOST = 200; // steps

// An input's or a tray's; the mask of a region has a file, but no example.
const isPicture = (value) => value && typeof value === "object" && "example" in value;

// Pictures stand for themselves, wherever in a value they are.
const essence = (values) =>
    JSON.stringify(values, (_, value) => (isPicture(value) ? essenceOf(value) : value));

class History {
    #steps = [];
    #at = -1;
    #timer = null;
    #pending = null;
    #refused = new Set(); // the essences of pictures that cannot be used
    onChange = () => {};

    record(values) {
        document.dispatchEvent(new Event("nst:changed"));
        this.#pending = values;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#settle(), QUIET);
    }

    // Forgets a picture that cannot be used, as if it had never been chosen. Events that still
    // bring it, and come late on a slow machine, are no steps either.
    withdraw(picture) {
        this.#refused.add(essenceOf(picture));
        const kept = (values) => !this.#isRefused(values);
        this.#at = this.#steps.slice(0, this.#at + 1).filter(kept).length - 1;
        this.#steps = this.#steps.filter(kept);
        this.onChange();
    }

    // One that was refused for a reason that has passed is chosen like any other.
    accept(picture) {
        this.#refused.delete(essenceOf(picture));
    }

    #isRefused(values) {
        const isRefused = (value) => value.refused || this.#refused.has(essenceOf(value));
        return values.some((value) => isPicture(value) && isRefused(value));
    }

    // The number of the step that is shown; less than 0 before the page has opened.
    get at() {
        return this.#at;
    }

    canStep(by) {
        return this.#at + by >= 0 && this.#at + by < this.#steps.length;
    }

    // Returns the values of the step before or after.
    step(by) {
        this.#settle();
        const before = this.#steps[this.#at];
        if (this.canStep(by)) this.#at += by;
        const values = this.#steps[this.#at];
        const photo = values[0];
        if (photo?.shown && essence([photo]) !== essence([before[0]])) {
            document.dispatchEvent(new CustomEvent("nst:photo", { detail: { url: photo.shown } }));
        }
        this.onChange();
        return values;
    }

    #settle() {
        clearTimeout(this.#timer);
        const values = this.#pending;
        this.#pending = null;
        if (!values || this.#isRefused(values)) return;
        if (this.#at >= 0 && essence(values) === essence(this.#steps[this.#at])) {
            this.#steps[this.#at] = values; // with a better display
        } else {
            this.#steps.splice(this.#at + 1);
            this.#steps.push(values);
            if (this.#steps.length > MOST) this.#steps.shift();
            this.#at = this.#steps.length - 1;
        }
        this.onChange();
    }
}

export const history = new History();

// What events of the page call.
export const record = (...values) => history.record(values);
export const undo = () => history.step(-1);
export const redo = () => history.step(1);
