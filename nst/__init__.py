"""Iterative neural style transfer: optimise a picture's pixels against VGG-19's Gram matrices.

The public names are loaded when they are first used: torch takes seconds, `--help` must not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nst.engine.schedule import Moment
    from nst.engine.transfer import TransferStep, stylize, transfer_style
    from nst.errors import ImageError, NumericalError, SettingsError, UserError, WeightsError
    from nst.images.color_transfer import only_colors
    from nst.images.masks import Masks, load_mask
    from nst.images.reading import load_image
    from nst.images.writing import save_png
    from nst.settings import FilmSettings, PaintingUse, TransferSettings
    from nst.video.transfer import FilmStep, transfer_video

__all__ = [
    "FilmSettings",
    "FilmStep",
    "ImageError",
    "Masks",
    "Moment",
    "NumericalError",
    "PaintingUse",
    "SettingsError",
    "TransferSettings",
    "TransferStep",
    "UserError",
    "WeightsError",
    "load_image",
    "load_mask",
    "only_colors",
    "save_png",
    "stylize",
    "transfer_style",
    "transfer_video",
]

__version__ = "0.2.0"

_HOMES = {
    "engine.schedule": ("Moment",),
    "engine.transfer": ("TransferStep", "stylize", "transfer_style"),
    "errors": ("ImageError", "NumericalError", "SettingsError", "UserError", "WeightsError"),
    "images.color_transfer": ("only_colors",),
    "images.masks": ("Masks", "load_mask"),
    "images.reading": ("load_image",),
    "images.writing": ("save_png",),
    "settings": ("FilmSettings", "PaintingUse", "TransferSettings"),
    "video.transfer": ("FilmStep", "transfer_video"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"nst.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
