// The handles of shaped sliders, and what a screen reader says of a slider: its value, and what that
// means for the picture.
const SLIDERS = "#controls input[type=range]";

const handle = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");

const nearest = (stops, value) => {
    const above = stops.findIndex((stop) => stop >= value);
    if (above < 1) return above ? stops.length - 1 : 0;
    return value - stops[above - 1] < stops[above] - value ? above - 1 : above;
};

// From here on the browser moves the handle from stop to stop, while Gradio reads and writes the
// value of the setting. One that lies between two stops is kept until the handle moves.
const shape = (slider, stops) => {
    let value = slider.value;
    let placed;
    slider.min = 0;
    slider.max = stops.length - 1;
    slider.step = 1;
    const place = (wanted) => {
        value = String(wanted);
        handle.set.call(slider, nearest(stops, Number(value)));
        placed = handle.get.call(slider);
        slider.style.setProperty("--range_progress", `${100 * placed / slider.max}%`);
    };
    const read = () => {
        const at = handle.get.call(slider);
        return at === placed ? value : String(stops[at]);
    };
    Object.defineProperty(slider, "value", { get: read, set: place });
    place(value);
};

const nameOf = (slider) => {
    const block = slider.closest(".block");
    return block?.querySelector("[data-testid=block-info]")?.textContent.trim() ?? "";
};

const wordsOf = (slider, words) => {
    const name = nameOf(slider);
    return words[name] ?? words[name.split(" ")[0]];
};

const textOf = (slider, known) => {
    const name = nameOf(slider), value = slider.value;
    if (!known) return `${name} ${value}`;
    const { usual, up, down } = known;
    const meaning = Number(value) > usual ? up : Number(value) < usual ? down : "as usual";
    return [`${name.split(" ").at(-1)} ${value}`, meaning].filter(Boolean).join(", ");
};

// Shapes the sliders whose `words` have stops, and keeps what is said of all of them true.
export const prepareSliders = (words) => {
    const prepare = (slider) => {
        const known = wordsOf(slider, words);
        if (known?.stops && !Object.hasOwn(slider, "value")) shape(slider, known.stops);
        slider.setAttribute("aria-valuetext", textOf(slider, known));
        const reset = slider.closest(".block")?.querySelector("[data-testid=reset-button]");
        if (reset) reset.ariaLabel = `Reset ${nameOf(slider)}`;
    };
    const all = () => document.querySelectorAll(SLIDERS).forEach(prepare);
    for (const name of ["input", "focusin"]) {
        document.addEventListener(name, ({ target }) => {
            if (target.matches?.(SLIDERS)) requestAnimationFrame(() => prepare(target));
        });
    }
    document.addEventListener("nst:changed", () => requestAnimationFrame(all));
    all();
};
