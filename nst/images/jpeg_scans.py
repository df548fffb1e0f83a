"""Counting the scans of a JPEG file, without decoding it.

A progressive file may have any number of scans, and each costs as much time as a whole picture;
what cameras and programs write has a dozen or two.
"""

from __future__ import annotations

import re

MOST_SCANS = 100
MOST_MARKERS = 20_000  # looked at; a few hundred are usual

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither stuffing, a restart nor padding
_BARE = {0x01, 0xD8}  # without a length
_END, _SCAN = 0xD9, 0xDA


def count_scans(data: bytes, most: int = MOST_SCANS) -> int:
    """Return the number of scans of a JPEG file.

    Counting stops beyond `most`, which is also said of a file with very many markers of any kind.
    """
    scans = position = 0
    for _ in range(MOST_MARKERS):
        found = _MARKER.search(data, position)
        if found is None or scans > most:
            return scans
        kind, position = data[found.end() - 1], found.end()
        if kind == _END:
            return scans
        if kind in _BARE:
            continue
        scans += kind == _SCAN
        position += int.from_bytes(data[position : position + 2], "big")
    return most + 1
