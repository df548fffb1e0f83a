"""Tell tensors apart by their values, and measure them."""

from __future__ import annotations

import hashlib

from torch import Tensor


def fingerprint(picture: Tensor) -> str:
    """Return a text that is equal for equal pixels and shapes, on any device."""
    pixels = picture.detach().cpu().contiguous().numpy()
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest() + str(pixels.shape)


def bytes_of(*tensors: Tensor) -> int:
    """Return the bytes that the elements of all tensors take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
