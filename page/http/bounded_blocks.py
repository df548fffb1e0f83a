"""Bound what callers can do with Gradio: files to name, sessions to begin, events to queue."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
import gradio.routes
from gradio.blocks import BlocksConfig
from gradio.processing_utils import save_base64_to_cache
from gradio.utils import get_upload_folder
from gradio_client.utils import traverse
from typing_extensions import override

from nst.images import sandbox
from page.http.event_queue import BoundedQueue
from page.http.rate_limit import network_of
from page.http.request_limits import WRONG_ARGUMENTS
from page.http.sessions import Sessions
from page.http.uploads import (
    BoundedUploadProgress,
)

log = logging.getLogger(__name__)

NOT_UPLOADED = "Pictures are uploaded, or sent as data: URLs; no other path or address is opened."
OWN_FILE = re.compile(r"https?://.*?/gradio_api/file=(.+)", re.DOTALL)
META = {"_type": "gradio.FileData"}
TAKE_FILES = (gr.Image, gr.UploadButton)


class SlimConfig(BlocksConfig):  # type: ignore[misc]
    """What Gradio knows of the page, copied for every session.

    For its deep links, which are shut, each copy would also hold what every component looks like:
    300 kB, and anybody may begin as many sessions as they like.
    """

    def __copy__(self) -> BlocksConfig:
        copy, nothing = super().__copy__(), dict[str, Any]()
        copy.config_for_block = lambda *_: nothing
        return copy


class BoundedBlocks(gr.Blocks):  # type: ignore[misc]  # Gradio is untyped here
    """Blocks whose callers can name no file but their uploads.

    Gradio checks only what calls itself a file (`meta`), and fetches addresses. Sessions and events
    are bounded.
    """

    _queue: BoundedQueue

    def __init__(self, **options: Any) -> None:
        self.sessions = Sessions()
        super().__init__(**options)
        self.default_config = SlimConfig(self)
        self.sessions.when_dropped(lambda name: self._queue.forget(name))
        gradio.routes.file_upload_statuses = BoundedUploadProgress()

    @override
    def queue(self, *args: Any, **named: Any) -> BoundedBlocks:
        super().queue(*args, **named)
        made: Any = self._queue
        self._queue = BoundedQueue(
            self.sessions,
            live_updates=made.live_updates,
            concurrency_count=made.max_thread_count,
            update_intervals=made.update_intervals,
            max_size=made.max_size,
            blocks=self,
            default_concurrency_limit=made.default_concurrency_limit,
        )
        return self

    @override
    def get_config_file(self) -> Any:
        # Gradio's heartbeat would hold a connection of every tab for good, and over HTTP/1 a
        # browser has six for all its tabs. Looks at a job are short requests, see page/looks.py.
        return {**super().get_config_file(), "connect_heartbeat": False}

    def forget_files(self, paths: Iterable[str]) -> None:
        """Drop files that were deleted from the sets in which Gradio would keep their names."""
        for files in self.temp_file_sets:
            files.difference_update(paths)

    @override
    async def process_api(self, *args: Any, **named: Any) -> Any:
        sandbox.client.set(client_of(named.get("request")))
        return await super().process_api(*args, **named)

    @override
    async def preprocess_data(self, event: Any, inputs: Any, *more: Any, **named: Any) -> Any:
        named_as_files = [
            {"path": value} if isinstance(value, str) and isinstance(part, TAKE_FILES) else value
            for part, value in zip(event.inputs, inputs, strict=False)
        ]
        checked = traverse([*named_as_files, *inputs[len(named_as_files) :]], checked_file, is_file)
        try:
            return await super().preprocess_data(event, checked, *more, **named)
        except gr.Error:
            raise
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            if isinstance(error.__cause__, OSError):  # of the disk
                raise
            log.debug("arguments that do not fit: %s", type(error).__name__)
            raise gr.Error(WRONG_ARGUMENTS, print_exception=False) from error


def client_of(request: Any) -> str:
    """Return whom pictures are opened for.

    That is the network of a request, or its session where the address tells nothing.
    """
    client = getattr(request, "client", None)
    return network_of(getattr(client, "host", "")) or str(
        getattr(request, "session_hash", None) or ""
    )


def is_file(value: object) -> bool:
    """Tell whether Gradio, or one of its components, could take this for a file."""
    return isinstance(value, dict) and any(value.get(key) is not None for key in ("path", "url"))


def checked_file(file: dict[str, Any]) -> dict[str, Any]:
    """Return the same file, by a path that may be opened.

    Raises `gr.Error`.
    """
    named = file.get("path")
    path = uploaded(file["url"] if named is None else named)
    return {**file, "path": str(path), "url": None, "is_stream": False, "meta": META}


def uploaded(address: object) -> Path:
    """Return the upload that is meant: by its path, its address here, or as a data: URL.

    Raises `gr.Error` for anything else; nothing is ever fetched.
    """
    text = str(address)
    try:
        if text.startswith("data:"):
            return Path(save_base64_to_cache(text, get_upload_folder()))
        own = OWN_FILE.fullmatch(text)
        path = Path(unquote(own[1]) if own else text)
        real = path.resolve(strict=True)  # where links and dots lead
        is_upload = real.is_file() and real.is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError, IndexError):
        is_upload = False
    if not is_upload:
        raise gr.Error(NOT_UPLOADED, print_exception=False)
    return path
