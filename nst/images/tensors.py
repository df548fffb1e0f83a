"""Convert between RGB pictures and tensors, and scale pictures to a longest side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from torch import Tensor


def to_tensor(image: Image.Image) -> Tensor:
    """Return (1, 3, H, W) float32 in [0, 1] from an RGB picture."""
    import torch

    pixels = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32))  # (H, W, 3)
    return pixels.permute(2, 0, 1).unsqueeze(0).div_(255)


def to_bytes(image: Image.Image) -> Tensor:
    """Return (1, 3, H, W) uint8 from an RGB picture: a quarter of the memory of `to_tensor`."""
    import torch

    pixels = torch.from_numpy(np.array(image.convert("RGB")))  # (H, W, 3)
    return pixels.permute(2, 0, 1).unsqueeze(0)


def mask_bytes(mask: Image.Image, size: tuple[int, int]) -> Tensor:
    """Return (1, 1, H, W) uint8 from a mask of mode "L", scaled to (width, height).

    Unlike those for pictures, the filter does not overshoot: what is black or white stays so.
    """
    import torch

    fitted = mask.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(fitted)).unsqueeze(0).unsqueeze(0)


def to_unit(pixels: Tensor) -> Tensor:
    """Return pixels in [0, 1]: floating-point ones as they are, and bytes as `to_tensor` does."""
    return pixels if pixels.is_floating_point() else pixels.float().div_(255)


def to_image(tensor: Tensor) -> Image.Image:
    """Return an 8-bit RGB picture from (1, 3, H, W) in [0, 1], rounded to the nearest value."""
    return Image.fromarray(_to_8_bits(tensor))


def to_16_bits(tensor: Tensor) -> npt.NDArray[np.uint16]:
    """Return (H, W, 3) samples of 16 bits from (1, 3, H, W) in [0, 1], rounded to the nearest.

    Divided by 257 and rounded they are the samples of `to_image`, all of them: at the border
    between two values of 8 bits, where float32 decides, they follow its choice.
    """
    rounded = tensor.detach()[0].permute(1, 2, 0).cpu().double().clamp(0, 1).mul(65535).round()
    middle = _to_8_bits(tensor).astype(np.int32) * 257
    samples = rounded.numpy().astype(np.int32).clip(middle - 128, middle + 128)
    return samples.astype(np.uint16)


def _to_8_bits(tensor: Tensor) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) samples of 8 bits from (1, 3, H, W) in [0, 1]."""
    import torch

    pixels = tensor.detach()[0].clamp(0, 1).mul_(255).round_().to(torch.uint8)
    samples: npt.NDArray[np.uint8] = pixels.permute(1, 2, 0).cpu().numpy()
    return samples


def fit(image: Image.Image, longest_side: int) -> Image.Image:
    """Return the picture scaled to a longest side in pixels; its aspect ratio is kept, always."""
    size = fitted_size(image.size, longest_side)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def into_frame(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an RGB picture scaled to fill (width, height), its middle where it is too long."""
    return ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS)


def shrink(image: Image.Image, longest_side: int) -> Image.Image:
    """Scale the picture down to a longest side in pixels; a smaller one is never enlarged."""
    return fit(image, min(longest_side, max(image.size)))


def fitted_size(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """Return the width and height in pixels of such a picture after `fit`."""
    factor = longest_side / max(size)
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height
