"""Several photos for one batch: a tray of thumbnails below the inputs, shown while it holds any.

Knows the component and what it holds; what becomes of the photos is others' business.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from typing_extensions import override

from nst import ImageError
from nst.images.tensors import shrink
from nst.studio.batch_job import MOST_PHOTOS, BatchPhoto
from nst.studio.job_store import THUMBNAIL_SIDE
from nst.studio.protected_faces import FACE_STRENGTH
from page.assets import mount
from page.examples import ExampleSet
from page.http.static_files import asset_url
from page.panels.components import Choice, chosen, pictures
from page.previews import file_url, rendered_webp
from page.templates import render

MOST_READ = 5 * MOST_PHOTOS  # photos of a value; who sends more is told so of these
LONGEST_NAME = 200  # characters, of a file's name
MOST_SIZES = 4096  # remembered


@dataclass(frozen=True)
class TrayPhoto:
    """A photo in the tray, and what its file is called."""

    choice: Choice
    name: str

    @property
    def path(self) -> Path:
        """Return where its file is."""
        return Path(self.choice.path)

    def admitted(self) -> BatchPhoto:
        """Return it as a batch has it: with its size, unless it cannot be opened."""
        try:
            return BatchPhoto(self.name, size_of(self.choice.path))
        except ImageError:
            return BatchPhoto(self.name)


@dataclass(frozen=True)
class Tray:
    """The photos in the tray, none while it is not in use, and whether faces are protected."""

    photos: tuple[TrayPhoto, ...] = ()
    protects_faces: bool = False

    def __bool__(self) -> bool:
        return bool(self.photos)


class PhotoTray(gr.HTML):  # type: ignore[misc]  # Gradio is untyped here
    """An input for several photos. Handlers receive a `Tray`."""

    def __init__(self, *, examples: ExampleSet, **options: Any) -> None:
        self.examples = examples
        super().__init__(tray_value(), **options)

    @override
    def get_block_name(self) -> str:
        return "html"

    @override
    def preprocess(self, payload: Any) -> Tray:
        if not isinstance(payload, dict):
            return Tray()
        found = [
            (chosen(each, self.examples), each.get("name"))
            for each in payload["photos"][:MOST_READ]
        ]
        photos = (TrayPhoto(choice, named(name)) for choice, name in found if choice)
        return Tray(tuple(photos), payload.get("faces") is True)


def add_tray(examples: ExampleSet) -> PhotoTray:
    """Show the tray.

    The component triggers `edit` with every change, and `find` when it wants to know a photo.
    """
    return PhotoTray(
        examples=examples,
        html_template=render("photo_tray", face_strength=FACE_STRENGTH),
        js_on_load=mount("photo_tray", "edit", "find", url=asset_url("photo_tray.js")),
        apply_default_css=False,
        elem_id="tray",
        most=MOST_PHOTOS,
    )


def tray_value(
    photos: Sequence[dict[str, Any]] = (), *, protects_faces: bool = False
) -> dict[str, Any]:
    """Return what the component holds for photos, each as an input holds one."""
    return {"photos": list(photos), "faces": protects_faces}


def named(name: object) -> str:
    """Return the name of a photo's file as text that can be shown and written."""
    text = name if isinstance(name, str) else ""
    return text.encode("utf-8", "replace").decode()[:LONGEST_NAME] or "photo"


@functools.lru_cache(MOST_SIZES)
def size_of(path: str) -> tuple[int, int]:
    """Return the size of the photo in an upload, whose path is never another's.

    Raises `ImageError`.
    """
    return pictures.open(path).size


def thumbnail_of(path: str, component: gr.HTML) -> str:
    """Return the address of a small picture of an upload. Raises `ImageError`."""
    size_of(path)  # in this thread: what cannot be opened is no rendering
    key = ("tray", path)
    shown = rendered_webp(key, lambda: shrink(pictures.open(path), THUMBNAIL_SIDE), component)
    return file_url(shown)
