"""Uploads on their way in: their form, how many files there are, and how slow they may be."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradio.route_utils import FileUploadProgress
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from typing_extensions import override

from page.http.identifiers import RequestError
from page.http.upload_space import UploadSpace

MOST_FILES = 8  # of a request
MOST_PART_HEADERS = 8_000  # bytes, of each
LONGEST_BOUNDARY = 70  # bytes, as RFC 2046 has it
AT_ONCE_OF_A_NETWORK = 12  # uploads
AT_ONCE = 200  # of all
FIRST_SECONDS = 20.0  # before the rate counts
LEAST_RATE = 8_000  # bytes a second
MOST_SECONDS = 600.0  # for one request
MOST_TRACKED = 256  # uploads whose progress is told

NO_ROOM = "Too many pictures were uploaded lately. Please try again in about {}."
NOT_A_FORM = "An upload must be a multipart form with one part for each file."
NOT_FILES = "Each part of an upload must be called files and have a filename."
TOO_MANY_FILES = f"At most {MOST_FILES} files can be uploaded at once."
TOO_MANY_UPLOADS = "Too many uploads are under way. Please try again in a minute."
TOO_SLOW = "The request was too slow and was ended."


class UploadForm:
    """The parts of a multipart form, counted and checked while they arrive. Keeps none of them."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= LONGEST_BOUNDARY:
            raise RequestError(NOT_A_FORM)
        self.files = 0
        self._field, self._value = b"", b""
        self._disposition = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_field,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._check,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the form. Raises `RequestError`."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise RequestError(NOT_A_FORM) from error

    def _begin(self) -> None:
        self.files += 1
        self._disposition = b""
        if self.files > MOST_FILES:
            raise RequestError(TOO_MANY_FILES, 413)

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._check_length()

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_length()

    def _check_length(self) -> None:
        if len(self._field) + len(self._value) > MOST_PART_HEADERS:
            raise RequestError(NOT_A_FORM)

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _check(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != b"files" or not options.get(b"filename"):
            raise RequestError(NOT_FILES)


class Upload:
    """An upload under way: checked, and given room in the folder of uploads as it arrives."""

    def __init__(self, content_type: str, upload_space: UploadSpace, network: str) -> None:
        self._form = UploadForm(content_type)
        self._scratch, self._network = upload_space, network
        self._bytes = self._files = 0

    def take(self, data: bytes) -> None:
        """Take the next bytes. Raises `RequestError`."""
        self._form.feed(data)
        files = self._form.files - self._files
        if not self._scratch.arrive(len(data), files):
            raise RequestError(NO_ROOM.format("a minute"), 503)
        self._bytes += len(data)
        self._files += files

    def end(self, *, is_kept: bool) -> None:
        """End the upload; its files are in the folder if it `is_kept`."""
        self._scratch.end(self._bytes, self._files, self._network, is_kept=is_kept)


class Pace:
    """The time that the body of a request may take."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def left(self, received: int) -> float:
        """Return the seconds within which more must come, when so many bytes have."""
        allowed = min(FIRST_SECONDS + received / LEAST_RATE, MOST_SECONDS)
        return self._began + allowed - time.monotonic()


class UploadsUnderWay:
    """How many uploads are under way, in all and from each network. Belongs to the event loop."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @contextmanager
    def another(self, network: str) -> Iterator[None]:
        """Count one more while the block lasts.

        Raises `RequestError` where there are enough.
        """
        is_enough = network and self._counts[network] >= AT_ONCE_OF_A_NETWORK
        if is_enough or self._counts.total() >= AT_ONCE:
            raise RequestError(TOO_MANY_UPLOADS, 503)
        self._counts[network] += 1
        try:
            yield
        finally:
            self._counts[network] -= 1
            self._counts += Counter()  # without those of which there are none


class BoundedUploadProgress(FileUploadProgress):  # type: ignore[misc]  # Gradio is untyped here
    """What Gradio tells of uploads under way, for so many of them.

    It forgets none that nobody asks for, and none that never came.
    """

    def __init__(self) -> None:
        super().__init__()
        self._statuses: OrderedDict[str, Any] = OrderedDict()

    @override
    def track(self, upload_id: str) -> None:
        super().track(upload_id)
        while len(self._statuses) > MOST_TRACKED:
            self.stop_tracking(next(iter(self._statuses)))

    @override
    async def is_tracked(self, upload_id: str) -> bool:
        if len(self._signals) >= 2 * MOST_TRACKED:
            raise asyncio.TimeoutError
        try:
            return bool(await super().is_tracked(upload_id))
        finally:
            if upload_id not in self._statuses:
                self._signals.pop(upload_id, None)

    @override
    def stop_tracking(self, upload_id: str) -> None:
        super().stop_tracking(upload_id)
        self._signals.pop(upload_id, None)
