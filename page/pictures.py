"""Pictures on their way to the browser: small, quick to encode, and good to look at.

Knows encodings; nothing of jobs.
"""

from __future__ import annotations

import base64
import io

from gradio.components import Component
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from nst.images import jpeg_bytes


def cached_webp(image: Image.Image, component: Component) -> str:
    """The path of `image` in the component's cache, as WebP of high quality: Gradio's own is either
    slow (PNG) or smears brush strokes (WebP at its usual quality)."""
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=92, method=2)
    path: str = save_bytes_to_cache(buffer.getvalue(), "picture.webp", component.GRADIO_CACHE)
    return path


def data_url(image: Image.Image, quality: int = 82) -> str:
    """The picture itself as an address: part of the page, so that no cache can lose it."""
    return jpeg_url(jpeg_bytes(image, quality))


def jpeg_url(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
