const show = (index) => {
    const strip = element.querySelector(".timelapse");
    if (!strip) return;
    const frames = JSON.parse(strip.dataset.frames);
    const frame = frames[Math.min(index, frames.length - 1)];
    strip.querySelector("img").src = strip.dataset.folder + frame + strip.dataset.end;
    strip.querySelector("output").value = "iteration " + strip.dataset.iterations.split(",")[index];
};
let timer = null;
const stop = () => {
    clearInterval(timer);
    timer = null;
    const button = element.querySelector(".play");
    if (button) button.textContent = "Play";
};
element.addEventListener("input", (event) => {
    if (event.target.type === "range") {
        stop();
        show(Number(event.target.value));
    }
});
element.addEventListener("click", (event) => {
    if (!event.target.closest(".play")) return;
    if (timer) return stop();
    const slider = element.querySelector("input[type=range]");
    if (slider.value === slider.max) slider.value = 0;
    event.target.textContent = "Pause";
    timer = setInterval(() => {
        if (!slider.isConnected || slider.value === slider.max) return stop();
        slider.value = Number(slider.value) + 1;
        show(Number(slider.value));
    }, 80);
});
