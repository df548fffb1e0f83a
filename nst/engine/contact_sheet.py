"""The contact sheet: nine small runs side by side, over two settings.

Knows which values to try and how to run them in turn; nothing of pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.errors import SettingsError
from nst.settings import TransferSettings, options

SIZE = 160  # pixels
ITERATIONS = 20
FACTOR = 4.0  # between neighbours, of a setting that moves through powers of ten
STRIDE = 0.25  # of its range between neighbours, of another

UNSEEN = {
    *("size", "iterations"),  # the sheet's own
    *("layer_weights", "style_costs", "content_layers"),
    *("colors", "precision", "weights"),
    *("seed", "restructure"),  # of no effect with most starts
    *("base_size", "base_weight"),  # of none at this size
}
VARIABLE = tuple(name for name in options() if name not in UNSEEN)
"""The settings that a sheet can be laid out over."""

Grid = list[list[TransferSettings]]


def variations(settings: TransferSettings, name: str) -> list[Any]:
    """Return three values of a setting to compare.

    They are the present one with one below and one above, as far as its range allows, or three of
    its choices.
    """
    option, value = options()[name], getattr(settings, name)
    if option.choices:
        choices = list(option.choices)
        first = min(max(choices.index(value) - 1, 0), max(len(choices) - 3, 0))
        return choices[first : first + 3]
    low, high = option.range
    if option.logarithmic:
        middle = min(max(value, low * FACTOR), high / FACTOR)
        return [middle / FACTOR, middle, middle * FACTOR]
    step = option.step or 1.0
    stride = round((high - low) * STRIDE / step) * step  # where a slider can be
    middle = min(max(value, low + stride), high - stride)
    return [round(middle - stride, 6), round(middle, 6), round(middle + stride, 6)]


def plan_sheet(settings: TransferSettings, rows: str, columns: str) -> Grid:
    """Return the settings of every tile, small and short, `rows` growing downward.

    Two settings have three values each; one with only two choices makes two rows or columns. Raises
    `SettingsError` for names that are not two of `VARIABLE`.
    """
    for name in (rows, columns):
        if name not in VARIABLE:
            raise SettingsError(f"a sheet compares two of {', '.join(VARIABLE)}, not {name!r}")
    if rows == columns:
        raise SettingsError("Please choose two different settings for the contact sheet.")
    small = settings.replace(size=SIZE, iterations=ITERATIONS)
    return [
        [small.replace(**{rows: row, columns: column}) for column in variations(settings, columns)]
        for row in variations(settings, rows)
    ]


def paint_sheet(
    content: Image.Image,
    styles: Sequence[Image.Image],
    grid: Grid,
    *,
    engine: Engine = transfer_style,
) -> Iterator[list[list[TransferStep]]]:
    """Yield one step of every tile at a time, in the grid's order.

    The targets, which all tiles share, are worked out once; each tile comes out as it would alone.
    """
    runs = [engine(content, styles, settings) for row in grid for settings in row]
    width = len(grid[0])
    for steps in zip(*runs, strict=True):
        yield [list(steps[first : first + width]) for first in range(0, len(steps), width)]
