element.addEventListener("click", (event) => {
    const tile = event.target.closest("button[data-tile]");
    if (tile) trigger("select", { sheet: tile.dataset.sheet, tile: Number(tile.dataset.tile) });
});
