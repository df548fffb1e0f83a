"""Entity tags: which content an answer holds, and whether a browser has it already (RFC 9110)."""

from __future__ import annotations

import hashlib

LENGTH = 16  # hexadecimal digits


def content_hash(content: bytes) -> str:
    """Return a short name of this content, which no other content has."""
    return hashlib.sha256(content).hexdigest()[:LENGTH]


def matches(if_none_match: str, tag: str) -> bool:
    """Tell whether a browser holds the content of an entity tag: `If-None-Match` lists it.

    The comparison is the weak one, so that a compressed form counts as its original.
    """
    held = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in held or (tag != "" and tag.removeprefix("W/") in held)
