"""Iterative neural style transfer: optimise a picture's pixels against VGG-19's Gram matrices."""

from nst.images import ImageError, load_image, save_png
from nst.settings import TransferSettings
from nst.transfer import TransferStep, stylize, transfer_style
from nst.weights import WeightsError

__all__ = [
    "ImageError",
    "TransferSettings",
    "TransferStep",
    "WeightsError",
    "load_image",
    "save_png",
    "stylize",
    "transfer_style",
]

__version__ = "0.1.0"
