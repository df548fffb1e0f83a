// Brings a stage into sight when a card or a tile far below was clicked and shows itself there.
export const SHOWS =
    "#gallery [data-act=select], #finished-examples button, #publications button, #tiles button";
const SOON = 10_000; // milliseconds in which a click is answered, or else the visitor has gone on
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let asked = -SOON; // when such a click was made

document.addEventListener("click", ({ target }) => {
    asked = target.closest?.(SHOWS) ? performance.now() : -SOON;
}, true);

// Tells the styles of a panel that stays in sight how high it is.
export const tellHeight = (panel) => {
    new ResizeObserver(() => panel.style.setProperty("--height", `${panel.offsetHeight}px`))
        .observe(panel);
};

export const bringIntoSight = (stage) => {
    if (performance.now() - asked > SOON || !stage.checkVisibility()) return;
    asked = -SOON;
    const { top, bottom, height } = stage.getBoundingClientRect();
    const seen = Math.min(bottom, innerHeight) - Math.max(top, 0);
    if (seen >= Math.min(height, innerHeight) / 2) return;
    stage.scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
};
