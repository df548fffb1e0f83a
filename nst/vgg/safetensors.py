"""The safetensors format: headers that may come from anyone, and small files of our own.

A file is 8 bytes with the length of the header, the header as JSON, and the tensors' bytes. Ours
also hold the SHA-256 of each tensor, as `sha256.NAME` among the header's metadata. Knows bytes and
tensors; nothing of networks or repositories. https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U8": torch.uint8,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
PREFIX = 8  # bytes that hold the header's length
MOST_BYTES = 1_000_000  # of a header; VGG-19's has 4,000

Bytes: TypeAlias = bytes | bytearray


class FormatError(ValueError):
    """Not a safetensors file that can be used.

    The message is what is wrong with it, in words that go on after "it".
    """


@dataclass(frozen=True)
class Entry:
    """Where a tensor is: its bytes are those from `start` to `stop` of the file."""

    dtype: str  # one of `DTYPES`, or another one that cannot be read
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What a file holds."""

    tensors: Mapping[str, Entry]
    metadata: Mapping[str, str]

    def sum_of(self, name: str) -> str | None:
        """Return the SHA-256 that a tensor should have, if the file knows it."""
        return self.metadata.get(f"sha256.{name}")


@dataclass(frozen=True)
class Raw:
    """A tensor as bytes: little-endian, the last dimension fastest."""

    dtype: str
    shape: tuple[int, ...]
    data: Bytes | memoryview = field(repr=False)

    @staticmethod
    def of(tensor: Tensor) -> Raw:
        """Return the bytes of a tensor or array."""
        return Raw(NAMES[tensor.dtype], tuple(tensor.shape), tensor.contiguous().numpy().tobytes())

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the bytes, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def header_stop(beginning: Bytes, file_size: int) -> int:
    """Return where the header of a file ends, by its first bytes.

    Raises `FormatError`.
    """
    stop = PREFIX + int.from_bytes(beginning[:PREFIX], "little")
    if len(beginning) < PREFIX or not PREFIX < stop <= file_size:
        raise FormatError("is no safetensors file")
    if stop > MOST_BYTES:
        raise FormatError("has a header that is far too long")
    return stop


def parse_header(beginning: Bytes, file_size: int) -> Header:
    """Return the header at the beginning of a file of so many bytes.

    All of its tensors lie inside the file and apart from each other. Raises `FormatError`.
    """
    stop = header_stop(beginning, file_size)
    try:
        content = json.loads(beginning[PREFIX:stop], object_pairs_hook=_without_repetition)
        metadata = content.pop("__metadata__", {})
        _expect(all(isinstance(text, str) for text in metadata.values()))
        tensors = {name: _entry(value, stop, file_size) for name, value in content.items()}
    except FormatError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise FormatError("has a header that cannot be read") from None
    _expect_apart(tensors.values())
    return Header(tensors, metadata)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _expect(len(dict(pairs)) == len(pairs))
    return dict(pairs)


def _entry(value: Mapping[str, Any], offset: int, file_size: int) -> Entry:
    dtype, shape, (start, stop) = value["dtype"], value["shape"], value["data_offsets"]
    _expect(isinstance(dtype, str) and isinstance(shape, list) and len(shape) <= 8)
    _expect(all(type(number) is int and number >= 0 for number in (*shape, start, stop)))
    _expect(start <= stop <= file_size - offset)
    if dtype in DTYPES:
        _expect(stop - start == math.prod(shape) * DTYPES[dtype].itemsize)
    return Entry(dtype, tuple(shape), offset + start, offset + stop)


def _expect_apart(entries: Collection[Entry]) -> None:
    end = 0
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.stop)):
        _expect(entry.start >= end)
        end = entry.stop


def _expect(condition: bool) -> None:
    if not condition:
        raise FormatError("has a header that contradicts itself")


def pack(tensors: Mapping[str, Raw], metadata: Mapping[str, str]) -> bytes:
    """Return a file with these tensors, in their order, and the SHA-256 of each.

    The same content always gives the same bytes.
    """
    sums = {f"sha256.{name}": raw.sha256 for name, raw in tensors.items()}
    header: dict[str, Any] = {"__metadata__": {**metadata, **sums}}
    end = 0
    for name, raw in tensors.items():
        start, end = end, end + len(raw.data)
        header[name] = {"dtype": raw.dtype, "shape": list(raw.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    return b"".join(
        [len(text).to_bytes(PREFIX, "little"), text, *(t.data for t in tensors.values())]
    )


def read_header(path: Path) -> Header:
    """Return the header of a file here.

    Raises `FormatError`, or `OSError` when it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        beginning = file.read(PREFIX)
        beginning += file.read(header_stop(beginning, size) - PREFIX)
    return parse_header(beginning, size)


def read_tensors(
    path: Path, header: Header, names: Collection[str], *, all_sums: bool
) -> dict[str, Tensor]:
    """Return the named tensors of a file here, each checked against its SHA-256.

    With `all_sums` each must have one. Raises `FormatError` when it is damaged, and `OSError`.
    """
    tensors = {}
    with path.open("rb") as file:
        for name in names:
            entry = header.tensors[name]
            data = bytearray(entry.stop - entry.start)
            file.seek(entry.start)
            is_whole = file.readinto(data) == len(data)
            check_sum(header, name, data, required=all_sums)
            if not is_whole:
                raise FormatError("is damaged")
            flat = torch.frombuffer(data, dtype=DTYPES[entry.dtype])
            tensors[name] = flat.view(entry.shape)
    return tensors


def check_sum(
    header: Header, name: str, data: Bytes | memoryview, *, required: bool = False
) -> None:
    """Raise `FormatError` when the tensor's bytes are not those that the header speaks of."""
    expected = header.sum_of(name)
    if expected is None and not required:
        return
    if hashlib.sha256(data).hexdigest() != expected:
        raise FormatError("is damaged")
