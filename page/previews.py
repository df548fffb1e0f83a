"""Pictures on their way to the browser: small, quick to encode, and good to look at.

Knows encodings; nothing of jobs.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Hashable
from pathlib import Path
from urllib.parse import quote

from gradio.components import Component
from PIL import Image

from nst.files import whole_file
from nst.images.writing import hash_of, jpeg_bytes, webp_bytes
from page.rendering import shared_renderings


def cached_webp(image: Image.Image, component: Component) -> str:
    """Return the path of `image` in the component's cache; see `rendered_webp`."""
    return rendered_webp(("pixels", hash_of(image)), lambda: image, component)


def rendered_webp(key: Hashable, make: Callable[[], Image.Image], component: Component) -> str:
    """Return the path, in the component's cache, of the picture that `make` returns, as WebP.

    It is of high quality: Gradio's own is either slow (PNG) or smears brush strokes (WebP at its
    usual quality). It is made in the pool of renderings, once for all who ask for the same `key`.
    Raises `OSError` on a full disk and `RenderingBusyError`.
    """
    rendering = shared_renderings().fetch_now(
        ("webp", key), lambda: webp_bytes(make(), 92, method=2)
    )
    return cached(rendering.read(), "picture.webp", component)


def cached(data: bytes, name: str, component: Component) -> str:
    """Return the path of a file with these bytes in the component's cache.

    Gradio would write it in the face of whoever is just being sent the same bytes.
    """
    path = Path(component.GRADIO_CACHE) / hashlib.sha256(data).hexdigest() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
    return str(path.resolve())


def file_url(path: str) -> str:
    """Return the address, relative to the page, of a file in Gradio's cache."""
    return f"gradio_api/file={quote(path)}"


def data_url(image: Image.Image, quality: int = 82) -> str:
    """Return the picture itself as an address: part of the page, so that no cache can lose it."""
    return jpeg_url(jpeg_bytes(image, quality))


def jpeg_url(data: bytes) -> str:
    """Return the bytes of a JPEG as an address."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
