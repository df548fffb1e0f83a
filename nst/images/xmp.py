"""Carry a text in the XMP of a JPEG, WebP or TIFF, and read it without decoding the picture.

XMP (ISO 16684-1) is a packet of RDF; here it has one property, `nst:recipe`. A JPEG holds it in one
APP1 segment (Adobe, XMP specification part 3, 1.1.3), a WebP in its chunk `XMP `, a TIFF in its
field 700.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from nst.errors import RecipeError
from nst.images import tiff

LONGEST = 65_000  # bytes of a packet: what one segment of a JPEG holds
MOST_PARTS = 10_000  # segments or chunks that are looked at
JPEG, WEBP = b"\xff\xd8\xff", b"WEBP"
TIFF = (b"II*\0", b"MM\0*")
HEADER = b"http://ns.adobe.com/xap/1.0/\0"
PROPERTY = re.compile(rb"<nst:recipe>([^<]*)</nst:recipe>")
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:nst="urn:nst:">'
    "<nst:recipe>{}</nst:recipe>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)
DAMAGED = "This picture is damaged, and its recipe cannot be read."


def packet_of(text: str, longest: int = LONGEST) -> bytes | None:
    """Return the packet that carries a text; None where it would be longer than `longest`."""
    packet = PACKET.format(html.escape(text, quote=False)).encode()
    return packet if len(packet) <= longest else None


def read_packet(data: bytes) -> str | None:
    """Return the text in the XMP of a JPEG, a WebP or a TIFF; None where there is none.

    Raises `RecipeError` for a file that is damaged so far, and for several texts.
    """
    if data.startswith(TIFF):
        parts = _field(data)
    else:
        parts = _segments(data) if data.startswith(JPEG) else _chunks(data)
    found = [text for part in parts for text in PROPERTY.findall(part)]
    if len(found) > 1:
        raise RecipeError(DAMAGED)
    return html.unescape(found[0].decode("utf-8", "replace")) if found else None


def _field(data: bytes) -> Iterator[bytes]:
    """Yield the XMP of a TIFF's first directory."""
    try:
        fields = tiff.read_fields(data)
    except ValueError:
        raise RecipeError(DAMAGED) from None
    if tiff.XMP in fields:
        yield fields[tiff.XMP].content


def _segments(data: bytes) -> Iterator[bytes]:
    """Yield the XMP segments of a JPEG up to its pixels."""
    at = 2
    for _ in range(MOST_PARTS):
        marker, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == b"\xff\xff":  # a marker may be filled up
            at += 1
            continue
        if marker in (b"\xff\xda", b"\xff\xd9"):
            return
        if len(marker) < 2 or marker[0] != 0xFF or length < 2 or at + 2 + length > len(data):
            raise RecipeError(DAMAGED)
        body = data[at + 4 : at + 2 + length]
        if marker == b"\xff\xe1" and body.startswith(HEADER):
            yield body[len(HEADER) :]
        at += 2 + length
    raise RecipeError(DAMAGED)


def _chunks(data: bytes) -> Iterator[bytes]:
    """Yield the XMP chunks of a WebP."""
    at = 12
    for _ in range(MOST_PARTS):
        if at >= len(data):
            return
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            raise RecipeError(DAMAGED)
        if kind == b"XMP " and length <= 2 * LONGEST:
            yield data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    raise RecipeError(DAMAGED)
