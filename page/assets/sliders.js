// What a screen reader says of a slider: its value, and what that means for the picture.
const SLIDERS = "#controls input[type=range]";

// A logarithmic slider's label ends with its value: `Style weight β: 2`.
const read = (slider) => {
    const block = slider.closest(".block");
    const label = block?.querySelector("[data-testid=block-info]")?.textContent.trim() ?? "";
    const [name, power] = label.split(": ");
    return { name, value: power ?? slider.value };
};

const textOf = (slider, words) => {
    const { name, value } = read(slider);
    const known = words[name] ?? words[name.split(" ")[0]];
    if (!known) return `${name} ${value}`;
    const { usual, up, down } = known;
    const meaning = Number(value) > usual ? up : Number(value) < usual ? down : "as usual";
    return [`${name.split(" ").at(-1)} ${value}`, meaning].filter(Boolean).join(", ");
};

export const describeSliders = (words) => {
    const describe = (slider) => slider.setAttribute("aria-valuetext", textOf(slider, words));
    const all = () => document.querySelectorAll(SLIDERS).forEach(describe);
    for (const name of ["input", "focusin"]) {
        document.addEventListener(name, ({ target }) => {
            if (target.matches?.(SLIDERS)) requestAnimationFrame(() => describe(target));
        });
    }
    document.addEventListener("nst:changed", () => requestAnimationFrame(all));
    all();
};
