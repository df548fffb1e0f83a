// Fills a slider's way up to its handle, as Gradio's sliders are.
export const fillRange = (range) => {
    const [low, high] = [Number(range.min), Number(range.max)];
    const share = (range.valueAsNumber - low) / (high - low);
    range.style.setProperty("--range_progress", `${100 * share}%`);
};
