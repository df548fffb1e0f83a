"""The type of the pictures that are minimised over."""

from torch import Tensor
from typing_extensions import TypeVar

Picture = TypeVar("Picture", default=Tensor)
"""A tensor (1, 3, H, W), or a picture whose parts are kept elsewhere."""
