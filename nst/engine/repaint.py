"""Follow a recipe: paint a picture again from what its PNG tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.images.masks import NO_MASKS, Masks
from nst.images.recipe import Recipe


def repaint(
    recipe: Recipe,
    content: Image.Image,
    styles: Sequence[Image.Image],
    *,
    masks: Masks | Sequence[Masks] | None = None,
    init: Image.Image | None = None,
    engine: Engine = transfer_style,
) -> Iterator[TransferStep]:
    """Follow a recipe: yield the steps of its passages one after another.

    They lead to the same picture on the same machine and device, before the colours are dialled,
    with the masks and the start that the recipe names. `masks` are those of each passage, or those
    of all paintings; what is missing are the recipe's small copies, see `Recipe.passage_masks`.
    `styles` are its paintings, see `Recipe.paired`.
    Raises `RecipeError` at once for another number of them, and on the way what `engine` does.
    """
    styles = recipe.paired(styles)
    if masks is None or isinstance(masks, Masks):
        masks = recipe.passage_masks(masks or NO_MASKS)
    return _repaint(recipe, content, styles, masks, init, engine)


def _repaint(
    recipe: Recipe,
    content: Image.Image,
    styles: Sequence[Image.Image],
    masks: Sequence[Masks],
    init: Image.Image | None,
    engine: Engine,
) -> Iterator[TransferStep]:
    begin: Moment | None = None
    for passage, end, its_masks in zip(recipe.passages, recipe.ends, masks, strict=True):
        chosen = [styles[index] for index in passage.styles]
        if begin and not passage.continues:
            begin = Moment(begin.picture, begin.iteration)
        control: dict[str, Any] = {"init": init} if init else {}
        if its_masks:
            control["masks"] = its_masks
        for step in engine(content, chosen, passage.settings, begin=begin, **control):
            yield step
            if step.iteration >= end:
                break
        begin = step.moment
