"""Whatever the bytes: a picture or one sentence, a recipe or one sentence.

Mutations of sound files in every format go through the worker; what makes up a PNG and a recipe is
put together anew by hypothesis. The examples are always the same ones; for a longer search
`HYPOTHESIS_EXAMPLES=10000 python -m pytest tests/images/test_fuzz.py`, which then are not.
"""

from __future__ import annotations

import functools
import io
import json
import os
import random
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from pillow_heif import register_heif_opener

from nst.errors import ImageError, RecipeError
from nst.images.reading import FORMATS, MAX_PIXELS, MAX_RATIO, MIN_SIDE, load_image
from nst.images.recipe import KEYWORD, new_recipe, parse_recipe, read_recipe
from nst.images.sandbox import DEFEATED
from nst.settings import TransferSettings

pytestmark = pytest.mark.slow


register_heif_opener()

EXAMPLES = os.environ.get("HYPOTHESIS_EXAMPLES", "")
fuzzed = settings(
    max_examples=int(EXAMPLES or 150),
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SAVED: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 80},
    "TIFF": {"compression": "tiff_lzw"},
    "AVIF": {"speed": 10},
}
SIGNATURE = b"\x89PNG\r\n\x1a\n"


@functools.cache
def sound(format: str) -> bytes:
    """A small file with all the metadata that the format takes."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    image = Image.fromarray(pixels).resize((64, 48), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 3
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    more = {} if format in ("GIF", "BMP") else {"exif": exif, "icc_profile": profile}
    image.save(buffer, format, **more, **SAVED.get(format, {}))
    return buffer.getvalue()


def assert_sentence(error: Exception, but: str = "\n") -> None:
    assert but not in str(error)
    assert str(error).isprintable()
    assert str(error).endswith(".")
    assert error.__cause__ is None


def is_picture(data: bytes) -> bool:
    """Return whether the bytes open as a picture, which then is as large as its header says; or
    are refused with one sentence, by a decoder that survived them."""
    try:
        image = load_image(data)
    except ImageError as error:
        assert_sentence(error, but="/")
        is_defeated = str(error) == DEFEATED
    else:
        assert sorted(image.size) == sorted(size_of(data))
        assert_fit(image)
        return True
    assert not is_defeated
    return False


def size_of(data: bytes) -> tuple[int, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata
        return Image.open(io.BytesIO(data)).size


def assert_fit(image: Image.Image) -> None:
    assert image.mode == "RGB"
    assert min(image.size) >= MIN_SIDE
    assert max(image.size) <= MAX_RATIO * min(image.size)
    assert image.width * image.height <= MAX_PIXELS


def has_recipe(source: bytes | str, text: str = "") -> bool:
    """Return whether the source has a recipe, which then is the one of the JSON text; or is refused
    with one sentence."""
    try:
        recipe = parse_recipe(source) if isinstance(source, str) else read_recipe(source)
    except RecipeError as error:
        assert_sentence(error)
        return False
    assert json.loads(recipe.to_text()) == json.loads(text)
    return True


@pytest.mark.parametrize("format", FORMATS)
def test_cut_off_at_every_twentieth(format: str) -> None:
    """All is there at the end, and hardly anything before."""
    data = sound(format)
    kinds = [is_picture(data[: len(data) * part // 20]) for part in range(21)]
    assert kinds[20]
    assert not any(kinds[:15])


@pytest.mark.parametrize("format", FORMATS)
def test_flipped_bits(format: str) -> None:
    """Anywhere, and most in the first quarter, where headers are; most files stop
    being pictures."""
    rng, data = random.Random(format), sound(format)
    kinds = set()
    for _ in range(60):
        flipped = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            flipped[rng.randrange(rng.choice((len(data), len(data) // 4, 64)))] ^= (
                1 << rng.randrange(8)
            )
        kinds.add(is_picture(bytes(flipped)))
    assert False in kinds


@pytest.mark.parametrize("format", FORMATS)
def test_lies_about_lengths_and_sizes(format: str) -> None:
    """Each of the first numbers, of two and of four bytes, becomes an extreme one."""
    data, kinds = sound(format), list[bool]()
    for at in range(4, 64, 3):
        for lie in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff", b"\0\0"):
            kinds.append(is_picture(data[:at] + lie + data[at + len(lie) :]))
    assert False in kinds


@pytest.mark.parametrize("format", FORMATS)
def test_no_flipped_bit_defeats_the_decoders(format: str) -> None:
    """Each bit of the first bytes, one by one; of a signature's, none leaves a picture."""
    data = sound(format)
    for at in range(24):
        for bit in (0, 7):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            assert not is_picture(flipped) or at >= 2


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


sides = st.sampled_from([16, 17, 40, 41, 0, 1, 15, 8000, 65_535, 2**31 - 1, 2**32 - 1])
kinds = st.sampled_from(
    b"tRNS PLTE iCCP eXIf acTL fcTL fdAT tEXt zTXt iTXt gAMA cHRM pHYs IDAT IHDR abcd ABCD".split()
)


@st.composite
def pngs(draw: st.DrawFn) -> bytes:
    """Chunks in any order with right checksums, after a header of any kind."""
    width, height = draw(sides), draw(sides)
    depth, kind = draw(st.sampled_from([1, 2, 4, 8, 16, 7])), draw(st.sampled_from([0, 2, 3, 4, 6]))
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, draw(st.integers(0, 1)))
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    rows = min(height, 100) * (1 + (min(width, 100) * bits + 7) // 8)
    pixels = bytes([draw(st.integers(0, 255))]) * rows if draw(st.booleans()) else bytes(rows)
    extras = draw(st.lists(st.tuples(kinds, st.binary(max_size=60)), max_size=4))
    profile = b"p\0\0" + zlib.compress(draw(st.binary(max_size=200)))
    parts = [chunk(*extra) for extra in extras] + [chunk(b"iCCP", profile)]
    parts = [chunk(b"PLTE", bytes(range(3 * 2 ** min(depth, 6)))), *draw(st.permutations(parts))]
    end = [chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")]
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(parts + end)


@fuzzed
@given(pngs())
def test_any_png(data: bytes) -> None:
    is_picture(data)
    assert not has_recipe(data)


@fuzzed
@given(st.sampled_from(FORMATS), st.data())
def test_parts_replaced(format: str, data: st.DataObject) -> None:
    """Some bytes of a sound file by others, or by some from elsewhere in it."""
    file = sound(format)
    at = data.draw(st.integers(0, len(file) - 1))
    elsewhere = data.draw(st.integers(0, len(file) - 1))
    length = data.draw(st.integers(0, 40))
    some = data.draw(st.binary(max_size=40) | st.just(file[elsewhere : elsewhere + length]))
    replaced = file[:at] + some + file[at + length :]
    assert is_picture(replaced) or replaced != file


@fuzzed
@given(st.sampled_from([sound(format)[:16] for format in FORMATS]), st.binary(max_size=400))
def test_any_bytes_after_a_beginning(beginning: bytes, rest: bytes) -> None:
    assert not is_picture(beginning + rest)


TEXT = new_recipe(
    Image.new("RGB", (16, 16)), [Image.new("RGB", (16, 16))], TransferSettings(), "cpu"
).to_text()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WELL_FORMED = {
    (b"tEXt", b"\0", TEXT.encode()),
    (b"zTXt", b"\0\0", zlib.compress(TEXT.encode())),
    (b"iTXt", b"\0\0\0\0\0", TEXT.encode()),
    (b"iTXt", b"\0\1\0\0\0", zlib.compress(TEXT.encode())),
    (b"iTXt", b"\0\1\0en\0\0", zlib.compress(TEXT.encode())),
}


@fuzzed
@given(st.data())
def test_any_value_anywhere_in_a_recipe(data: st.DataObject) -> None:
    recipe = json.loads(TEXT)
    place: Any = recipe
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(values)
    changed = json.dumps(recipe)
    has_recipe(changed, changed)


@fuzzed
@given(
    st.sampled_from([b"tEXt", b"zTXt", b"iTXt"]),
    st.sampled_from(
        [b"", b"\0", b"\0\0", b"\0\0\0", b"\0\1\0\0\0", b"\0\1\0en\0\0", b"\0\0\0\0\0"]
    ),
    st.sampled_from([TEXT.encode(), zlib.compress(TEXT.encode())]) | st.binary(max_size=60),
    st.integers(-9, 9),
)
def test_any_chunk_of_text(kind: bytes, between: bytes, text: bytes, lie: int) -> None:
    body = KEYWORD.encode() + between + text
    right = chunk(kind, body)
    wrong = struct.pack(">I", len(body) + lie & 2**32 - 1) + right[4:]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    found = [
        has_recipe(SIGNATURE + header + part + chunk(b"IDAT", b""), TEXT)
        for part in (right, wrong, right + right)
    ]
    assert found[0] >= ((kind, between, text) in WELL_FORMED)
    assert found[1] <= found[0]
    assert found[2] <= found[0]
