"""Follow a recipe: paint a picture again from what its PNG tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.errors import RecipeError
from nst.images.masks import Masks
from nst.images.recipe import Recipe


def repaint(
    recipe: Recipe,
    content: Image.Image,
    styles: Sequence[Image.Image],
    *,
    masks: Masks | None = None,
    init: Image.Image | None = None,
    engine: Engine = transfer_style,
) -> Iterator[TransferStep]:
    """Follow a recipe: yield the steps of its passages one after another.

    They lead to the same picture on the same machine and device, before the colours are dialled,
    with the masks and the start that the recipe names. `masks` are those of all its paintings; None
    stands for the recipe's small copies of them.
    Raises `RecipeError` at once for another number of paintings, and on the way what `engine` does.
    """
    if len(styles) != len(recipe.styles):
        needed = "one painting" if len(recipe.styles) == 1 else f"{len(recipe.styles)} paintings"
        raise RecipeError(f"The recipe needs {needed}, not {len(styles)}.")
    if masks is None:
        masks = recipe.masks.copies()
    return _repaint(recipe, content, styles, masks, init, engine)


def _repaint(
    recipe: Recipe,
    content: Image.Image,
    styles: Sequence[Image.Image],
    masks: Masks,
    init: Image.Image | None,
    engine: Engine,
) -> Iterator[TransferStep]:
    begin: Moment | None = None
    for passage, end in zip(recipe.passages, recipe.ends, strict=True):
        chosen = [styles[index] for index in passage.styles]
        if begin and not passage.continues:
            begin = Moment(begin.picture, begin.iteration)
        control: dict[str, Any] = {"init": init} if init else {}
        if masks:
            control["masks"] = masks.chosen(passage.styles)
        for step in engine(content, chosen, passage.settings, begin=begin, **control):
            yield step
            if step.iteration >= end:
                break
        begin = step.moment
