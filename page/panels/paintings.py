"""Several paintings for one picture: weights, layers, sizes, directions, and painted regions.

Knows the component and what it holds. The first painting has an input of its own; until a visitor
adds another or paints a region, nothing here is more than a few buttons.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from typing_extensions import override

from nst.images.framing import Crop
from nst.settings import LAYER_GROUPS, PaintingUse
from nst.studio.protected_faces import FACE_STRENGTH
from page.assets import mount
from page.examples import ExampleSet
from page.http.bounded_blocks import uploaded
from page.http.static_files import asset_url
from page.panels.components import Choice, chosen
from page.templates import render

MOST_PAINTINGS = 6
MOST_REGIONS = 6
PLACED = ("layers", "scale", "rotation", "mirror", "crop")  # what of a use is a painting's own
REST = "rest"  # what rules a region: the paintings that rule where no region is


@dataclass(frozen=True)
class Region:
    """A part of the photo that a visitor painted.

    `mask` is the path of a grey picture, white inside; `painting` the index of the painting that
    rules there, `REST` for those that rule elsewhere, None where the photo is left as it is.
    """

    mask: str
    painting: int | str | None
    strength: float = 1.0
    color: int = 0  # of its overlay


@dataclass(frozen=True)
class Paintings:
    """What the component holds: the paintings beyond the first, all weights, and the regions.

    `uses` are the layers, sizes and directions of the paintings; missing ones are usual. `within`
    are the paths of grey pictures, white in the part of a painting that is used; None for all.
    `owner` is the first painting that the first crop and part belong to, None for whichever is
    chosen.
    """

    more: tuple[Choice, ...] = ()
    weights: tuple[float, ...] = (1.0,)
    regions: tuple[Region, ...] = ()
    uses: tuple[PaintingUse, ...] = ()
    within: tuple[str | None, ...] = ()
    owner: Choice | None = None

    def use(self, number: int) -> PaintingUse:
        """Return the layers, size and direction of a painting."""
        return self.uses[number] if number < len(self.uses) else PaintingUse()

    def part(self, number: int) -> str | None:
        """Return the mask of the part of a painting that is used."""
        return self.within[number] if number < len(self.within) else None

    def beside(self, first: Choice | None) -> Paintings:
        """Return what is held beside a first painting, which may just have been chosen.

        The crop and the part of the one before are not for it.
        """
        if self.owner in (None, first):
            return self
        use = replace(self.use(0), crop=PaintingUse().crop)
        return replace(self, uses=(use, *self.uses[1:]), within=(None, *self.within[1:]))

    @property
    def without_masks(self) -> Paintings:
        """Return the paintings as several photos and films take them: whole, and everywhere."""
        return replace(self, regions=(), within=())


class PaintingsInput(gr.HTML):  # type: ignore[misc]  # Gradio is untyped here
    """An input for more paintings and for regions. Handlers receive `Paintings`."""

    def __init__(self, *, examples: ExampleSet, **options: Any) -> None:
        self.examples = examples
        super().__init__(nothing_added(), **options)

    @override
    def get_block_name(self) -> str:
        return "html"

    @override
    def preprocess(self, payload: Any) -> Paintings:
        if not isinstance(payload, dict):
            return Paintings()
        more = [chosen(each, self.examples) for each in payload["paintings"][: MOST_PAINTINGS - 1]]
        weights = [_number(weight) for weight in payload["weights"][:MOST_PAINTINGS]]
        regions = [_region(each, len(more) + 1) for each in payload["regions"][:MOST_REGIONS]]
        uses = [_use(each) for each in payload["uses"][: len(more) + 1]]
        within = [each and _file(each) for each in payload.get("within", [])[: len(more) + 1]]
        known = [choice for choice in more if choice]
        if len(known) != len(more) or len(weights) != len(more) + 1:
            raise ValueError("a painting that is not known, or a weight too few or too many")
        return Paintings(
            *(tuple(known), tuple(weights), tuple(regions), tuple(uses), tuple(within)),
            owner=_owner(payload.get("painting"), self.examples),
        )


def held_value(
    more: Sequence[dict[str, Any]],
    weights: Sequence[float],
    regions: Sequence[dict[str, Any]] = (),
    uses: Sequence[PaintingUse] = (),
    within: Sequence[dict[str, Any] | None] = (),
) -> dict[str, Any]:
    """Return what the component holds for paintings beyond the first, all weights, and regions.

    The regions are those of the photo that is there; `uses` are layers, sizes and directions, and
    `within` the masks of the parts of the paintings that are used.
    """
    return {
        "paintings": list(more),
        "weights": list(weights),
        "regions": list(regions),
        "photo": None,
        "uses": [placed(use).to_json() for use in uses],
        "within": list(within),
        "painting": None,
    }


def placed(use: PaintingUse) -> PaintingUse:
    """Return the layers, size and direction of a painting alone, whatever its weight is."""
    return PaintingUse(**{name: getattr(use, name) for name in PLACED})


def add_paintings(examples: ExampleSet) -> PaintingsInput:
    """Show the buttons.

    The component triggers `edit` with every change, `find` when it wants a mask of the photo, and
    `look` when it wants to know what an upload shows.
    """
    return PaintingsInput(
        examples=examples,
        html_template=render("paintings"),
        js_on_load=mount("paintings", "edit", "find", "look", url=asset_url("paintings.js")),
        apply_default_css=False,
        elem_id="paintings",
        most=MOST_PAINTINGS,
        faceStrength=FACE_STRENGTH,
        layerGroups=LAYER_GROUPS,
    )


def nothing_added() -> dict[str, Any]:
    """Return what the component holds at first."""
    return held_value([], [1.0])


def _region(value: Mapping[str, Any], paintings: int) -> Region:
    """Return a region from what the browser holds.

    Raises `ValueError` for the index of a painting that is not there.
    """
    painting = value["painting"]
    if painting not in (None, REST):
        painting = int(painting)
        if painting not in range(paintings):
            raise ValueError(f"there is no painting {painting}")
    return Region(
        mask=_file(value),
        painting=painting,
        strength=_number(value["strength"]),
        color=int(value["color"]) % MOST_REGIONS,
    )


def _owner(essence: str | None, examples: ExampleSet) -> Choice | None:
    """Return the choice in what `essenceOf` makes of one; it is to be compared, not opened.

    Raises `ValueError`.
    """
    path, example, shape = json.loads(essence or "null") or (None, None, None)
    if path:
        return Choice(str(path), crop=Crop.from_json(shape) if shape else None)
    return chosen({"example": example, "crop": shape}, examples)


def _file(value: Mapping[str, Any]) -> str:
    """Return the path of the mask in what the browser holds. Raises `ValueError`."""
    return str(uploaded(value["file"]["path"]))


def _use(value: Any) -> PaintingUse:
    """Return layers, size and direction from what the browser holds. Raises `ValueError`."""
    use = PaintingUse.from_json(value)
    if placed(use) != use:
        raise ValueError(f"more than layers, a size and a direction: {value}")
    return use


def _number(value: Any) -> float:
    return float(value)
