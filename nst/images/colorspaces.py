"""ICC profiles of the colour spaces that files name without a profile.

They name them by the code points of ITU-T H.273 (the cICP chunk of PNG, the nclx box of AVIF and
HEIC), gAMA with cHRM, and EXIF's Adobe RGB.

Each is a matrix and one curve. HDR is tone-mapped by that curve, channel by channel: light is
measured in units of the reference white (203 cd/m², ITU-R BT.2408), stays as it is up to half of
it, and is compressed above, so that 1000 cd/m² becomes 1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Curve = npt.NDArray[np.float64]  # light or signal in [0, 1]
Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x, y of W, R, G, B

D65 = (0.3127, 0.3290)
D50 = (0.9642, 1.0, 0.8249)  # XYZ of the profile connection space
REFERENCE_WHITE = 203.0  # cd/m²
PEAK = 1000.0  # cd/m², of the display that HDR is graded for
KNEE = 0.5  # of the reference white: what is darker is not tone-mapped
POINTS = 4096  # of a profile's curve

PRIMARIES: dict[int, Chromaticities] = {  # H.273, table 2
    1: (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),  # BT.709, sRGB
    5: (*D65, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),  # BT.470 B, G
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # SMPTE 170M
    7: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # SMPTE 240M
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # SMPTE RP 431-2
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
ADOBE_RGB: Chromaticities = (*D65, 0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
ADOBE_GAMMA = 2.19921875

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class CodePoints:
    """A colour space as H.273 numbers it."""

    primaries: int
    transfer: int
    is_full_range: bool = True

    @property
    def is_srgb(self) -> bool:
        """Tell whether the numbers name sRGB."""
        return (self.primaries, self.transfer, self.is_full_range) == (1, 13, True)

    def profile(self) -> bytes | None:
        """Return an ICC profile; None for numbers that are not known here, or unspecified."""
        if self.primaries not in PRIMARIES or self.transfer not in TRANSFERS:
            return None
        signal = np.linspace(0, 1, POINTS)
        if not self.is_full_range:
            signal = ((255 * signal - 16) / 219).clip(0, 1)
        return make_profile(PRIMARIES[self.primaries], TRANSFERS[self.transfer](signal))


def gamma_profile(chromaticities: Chromaticities, gamma: float) -> bytes:
    """Return an ICC profile in which light is signal to the power of `gamma`."""
    return make_profile(chromaticities, np.linspace(0, 1, POINTS) ** gamma)


def png_code_points(data: bytes) -> CodePoints | None:
    """Return what the cICP chunk of a PNG says; None where there is none or it is invalid."""
    at = 8
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"cICP" and length == 4:
            primaries, transfer, matrix, full_range = data[at + 8 : at + 12]
            is_valid = matrix == 0 and full_range in (0, 1)  # PNG holds RGB only
            return CodePoints(primaries, transfer, full_range == 1) if is_valid else None
        if kind in (b"PLTE", b"IDAT"):  # it must come before
            return None
        at += 12 + length
    return None


def avif_code_points(data: bytes) -> CodePoints | None:
    """Return what the nclx boxes of an AVIF file say.

    None where there is none, or where they differ. The range is the decoder's affair.
    """
    found = set()
    for meta in _boxes(data, b"meta"):
        for properties in _boxes(meta[4:], b"iprp"):
            for container in _boxes(properties, b"ipco"):
                for color in _boxes(container, b"colr"):
                    if color[:4] == b"nclx" and len(color) >= 8:
                        found.add(CodePoints(*struct.unpack_from(">HH", color, 4)))
    return found.pop() if len(found) == 1 else None


def make_profile(chromaticities: Chromaticities, curve: Curve) -> bytes:
    """Return an ICC profile of an RGB space.

    Args:
        chromaticities: x and y of white, red, green and blue.
        curve: (N,) the light that each of N evenly spaced signals stands for, in [0, 1].
    """
    columns = _to_d50(chromaticities).T
    tags = {name: _xyz(column) for name, column in zip(_COLORANTS, columns, strict=True)}
    tags[b"wtpt"] = _xyz(D50)
    values = (curve.clip(0, 1) * 65535).round().astype(">u2").tobytes()
    trc = b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + values
    at = 128 + 4 + 12 * (len(tags) + 3)
    table, body = struct.pack(">I", len(tags) + 3), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        table += name + struct.pack(">II", at + len(body), len(trc))
    body += trc
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(D50)
    return header.ljust(128, b"\0") + table + body


_COLORANTS = (b"rXYZ", b"gXYZ", b"bXYZ")


def _to_d50(chromaticities: Chromaticities) -> Curve:
    """Return (3, 3) from linear RGB to XYZ, adapted to D50 by Bradford's method."""
    white, *primaries = (
        np.array([x / y, 1, (1 - x - y) / y])
        for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
    )
    columns = np.stack(primaries, axis=1)
    to_xyz = columns * np.linalg.solve(columns, white)
    gains = (_BRADFORD @ np.array(D50)) / (_BRADFORD @ white)
    adapted: Curve = np.linalg.solve(_BRADFORD, gains[:, None] * (_BRADFORD @ to_xyz))
    return adapted


def _xyz(values: Sequence[float] | Curve) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: Sequence[float] | Curve) -> bytes:
    """Return numbers as ICC's s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def _boxes(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Return the contents of the boxes of one kind, of those at the top of `data`."""
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big") or len(data) - at
        if length < 8:  # damaged, or of a length in 64 bits: such files are too large anyway
            return
        if data[at + 4 : at + 8] == kind:
            yield data[at + 8 : at + length]
        at += length


def _bt709(signal: Curve) -> Curve:
    alpha, beta = 1.09929682680944, 0.018053968510807
    return np.where(signal < 4.5 * beta, signal / 4.5, ((signal + alpha - 1) / alpha) ** (1 / 0.45))


def _srgb(signal: Curve) -> Curve:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _pq(signal: Curve) -> Curve:
    """Apply SMPTE ST 2084, tone-mapped."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    light = ((power - c1).clip(0) / (c2 - c3 * power)) ** (1 / m1)
    return tone_map(10_000 * light)


def _hlg(signal: Curve) -> Curve:
    """Apply ARIB STD-B67 with the system gamma of a display of 1000 cd/m², 1.2, tone-mapped."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return tone_map(PEAK * scene**1.2)


def tone_map(light: Curve) -> Curve:
    """Return light in cd/m² as light in [0, 1] of a display without HDR."""
    x, peak = light / REFERENCE_WHITE, PEAK / REFERENCE_WHITE
    above = (x - KNEE).clip(0)
    compression = 1 / (1 - KNEE) - 1 / (peak - KNEE)  # so that the slope is 1 at the knee
    return np.minimum(np.where(x < KNEE, x, KNEE + above / (1 + compression * above)), 1.0)


def _power(gamma: float) -> Callable[[Curve], Curve]:
    def light(signal: Curve) -> Curve:
        result: Curve = signal**gamma
        return result

    return light


TRANSFERS: dict[int, Callable[[Curve], Curve]] = {  # H.273, table 3, from signal to light
    **dict.fromkeys((1, 6, 11, 14, 15), _bt709),
    4: _power(2.2),
    5: _power(2.8),
    8: _power(1.0),
    13: _srgb,
    16: _pq,
    18: _hlg,
}


def color_profile(info: dict[Any, Any], format: str | None, data: bytes, exif: Any) -> bytes | None:
    """Return the ICC profile by which a file's RGB is to be understood; None for sRGB.

    Args:
        info: what Pillow read beside the pixels.
        format: Pillow's name of the file's format.
        data: the file.
        exif: its EXIF as Pillow has it.

    A cICP chunk comes before iCCP, then sRGB, then gAMA with cHRM (PNG, third edition, 4.3); gAMA
    or cHRM alone changes nothing, as in browsers. An ICC profile comes before an nclx box.
    """
    profile: bytes | None = info.get("icc_profile")
    if format == "PNG":
        return _png_profile(info, data, profile)
    if profile:
        return profile
    points = None
    if format == "AVIF":
        points = avif_code_points(data)
    elif format == "HEIF" and "nclx_profile" in info:
        nclx = info["nclx_profile"]
        points = CodePoints(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
    elif format in ("JPEG", "MPO") and _is_adobe_rgb(exif):
        return gamma_profile(ADOBE_RGB, ADOBE_GAMMA)
    return None if points is None or _is_video_srgb(points) else points.profile()


def _png_profile(info: dict[Any, Any], data: bytes, profile: bytes | None) -> bytes | None:
    points = png_code_points(data)
    if points is not None:
        if points.is_srgb:
            return None
        if chosen := points.profile():
            return chosen
    gamma, chromaticities = info.get("gamma"), info.get("chromaticity")
    if profile or "srgb" in info or not gamma or not chromaticities:
        return profile
    if abs(gamma - 0.45455) < 1e-4 and np.allclose(chromaticities, PRIMARIES[1], atol=1e-3):
        return None  # as the sRGB chunk has it written beside itself
    try:
        return gamma_profile(chromaticities, 1 / gamma)
    except (np.linalg.LinAlgError, ArithmeticError, ValueError, struct.error):
        return None  # numbers that are no colours


def _is_video_srgb(points: CodePoints) -> bool:
    """Tell whether it is sRGB in fact.

    Encoders of still pictures write BT.709's or SMPTE 170M's numbers for it, and viewers show it
    so.
    """
    return points.primaries in (1, 5, 6) and points.transfer in (1, 6, 13)


def _is_adobe_rgb(exif: Any) -> bool:
    """Tell whether DCF's optional colour space is named: uncalibrated, with the index R03."""
    try:
        is_uncalibrated = exif.get_ifd(0x8769).get(0xA001) == 0xFFFF
        return is_uncalibrated and str(exif.get_ifd(0xA005).get(1, "")).startswith("R03")
    except Exception:  # damaged EXIF
        return False
