"""Entity tags: which content an answer holds, and whether a browser has it already (RFC 9110)."""

from __future__ import annotations

import hashlib

LENGTH = 16  # hexadecimal digits


def content_hash(content: bytes) -> str:
    """Return a short name of this content, which no other content has."""
    return hashlib.sha256(content).hexdigest()[:LENGTH]


def without_weakness(tag: str) -> str:
    """Return an entity tag as a strong one: `W/"a"` as `"a"`."""
    return tag.strip().removeprefix("W/")


def matches(if_none_match: str, tag: str) -> bool:
    """Tell whether a browser holds the content of an entity tag: `If-None-Match` lists it.

    The comparison is the weak one, so that a compressed form counts as its original.
    """
    held = [without_weakness(each) for each in if_none_match.split(",")]
    return "*" in held or (tag != "" and without_weakness(tag) in held)
