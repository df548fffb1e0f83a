// The tiles of a contact sheet: followed while they are painted, then one to click.
import { follow } from "./follow.js";

export default function mount({ element, props, trigger, watch }) {
    let task = "";
    let leave = () => {};
    const render = () => {
        const asked = element.querySelector("[data-follow]")?.dataset.follow ?? "";
        if (!asked || asked === task) return;
        task = asked;
        leave();
        leave = follow(task, { onLook: ({ tiles }) => tiles && (props.value = tiles) });
    };
    element.addEventListener("click", (event) => {
        const tile = event.target.closest("button[data-tile]");
        if (tile) trigger("select", { sheet: tile.dataset.sheet, tile: Number(tile.dataset.tile) });
    });
    watch("value", render);
    render();
}
