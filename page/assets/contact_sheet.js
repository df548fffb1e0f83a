// The tiles of a contact sheet: followed while they are painted, then one to click.
import { follow } from "./follow.js";
import { SHOWS } from "./in_sight.js";

const OTHERS = `#stylize, ${SHOWS}`; // what puts another picture on the stage

export default function mount({ element, props, trigger, watch }) {
    let task = "";
    let leave = () => {};
    let chosen = ""; // the tile that was clicked last, of its sheet
    const nameOf = ({ dataset: { sheet, tile } }) => `${sheet} ${tile}`;
    const mark = () => {
        for (const tile of element.querySelectorAll("button[data-tile]")) {
            tile.ariaCurrent = nameOf(tile) === chosen;
        }
    };
    const render = () => {
        mark();
        const asked = element.querySelector("[data-follow]")?.dataset.follow ?? "";
        if (!asked || asked === task) return;
        task = asked;
        leave();
        leave = follow(task, {
            onLook: ({ tiles }) => {
                if (!tiles) return;
                props.value = tiles;
                queueMicrotask(mark); // nobody hears of what a script sets
            },
        });
    };
    element.addEventListener("click", (event) => {
        const tile = event.target.closest("button[data-tile]");
        if (!tile) return;
        chosen = nameOf(tile);
        mark();
        trigger("select", { sheet: tile.dataset.sheet, tile: Number(tile.dataset.tile) });
    });
    document.addEventListener("click", ({ target }) => {
        if (element.contains(target) || !target.closest?.(OTHERS)) return;
        chosen = "";
        mark();
    });
    watch("value", render);
    render();
}
