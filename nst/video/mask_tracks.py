"""Masks that were painted on some frames of a film, followed along the flow to all the others.

A key frame is one that masks were painted on. Each mask of its is followed forward and backward in
time, as far as its scene goes; between two key frames both have a share, the nearer one the larger.
Faces are found on each frame. Knows frames and masks; nothing of paint or of tensors.
"""

from __future__ import annotations

import io
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst.errors import ImageError
from nst.images.masks import BLACK, Masks
from nst.images.opencv import load_opencv
from nst.images.tensors import shrink
from nst.settings import PaintingUse
from nst.video.face_track import FaceTrack
from nst.video.flow import NEEDED, Field, FlowEstimator, Mask, Motion, box_mean
from nst.video.history import is_cut

KeyMasks = Mapping[int, Masks]
"""Masks by the number, from 0, of the frame that they were painted on."""

Levels = npt.NDArray[np.float32]
"""Values of masks, from 0 to 1."""

TRACKED_SIDE = 512  # pixels; the longest side of frames in which masks are followed
REACH = 2000  # frames, the farthest that a mask is followed back in time
LARGEST_CORRECTION = 3.0  # pixels, of what composed flows have strayed
BETTER = 1.2  # times the error, and so many levels, that a correction must be better by:
BETTER_LEVELS = 0.5
LEAST_TRUST = 0.02  # in values that are not followed but filled in, beside 1 of those that are
RADII = (2, 4, 8, 16, 32, 64)  # pixels, at which neighbours of what is new are asked
DIRECTIONS = 12
SAME_COLOR = 12.0  # levels, the standard deviation among pixels of one thing
PACKED_QUALITY = 95  # of the JPEGs of frames whose masks wait for a later key frame


def within_of(keys: KeyMasks) -> tuple[Image.Image | None, ...]:
    """Return the masks of the parts of the paintings that are taken, in all frames."""
    return next((masks.within for masks in keys.values() if masks.within), ())


def check_key_masks(
    keys: KeyMasks,
    frame: Image.Image,
    paintings: Sequence[Image.Image],
    uses: Sequence[PaintingUse] = (),
) -> None:
    """Raise `ImageError`, one sentence, for masks that do not go with a film.

    On some key frames a mask may be black, where its thing is not to be seen, but not on all.
    """
    if any(number < 0 for number in keys):
        raise ValueError("frames are numbered from 0")
    for masks in keys.values():
        replace(masks, is_followed=True).check(frame, paintings, uses)
    for slot, given in enumerate(_by_slot(keys)):
        if given and all(mask.getextrema()[1] == 0 for mask in given.values()):
            is_keep = slot == _n_regions(keys)
            raise ImageError(BLACK.format("The keep mask" if is_keep else f"Mask {slot + 1}"))


def check_key_numbers(keys: KeyMasks, count: int) -> None:
    """Raise `ImageError` for masks of a frame that a clip of so many frames does not have."""
    missing = [number for number in keys if number >= count]
    if missing:
        raise ImageError(
            f"There are masks for frame {min(missing) + 1}, and the clip has {count} frames."
        )


def followed_masks(
    frames: Iterable[Image.Image], keys: KeyMasks, *, protect_faces: bool = False
) -> Iterator[Masks]:
    """Yield the masks of each frame of a clip, RGB pictures of one size, in order.

    A mask has key frames of its own: one that is missing on a key frame of others is followed past
    it. A scene without a key frame has none of that mask. With `protect_faces` what is kept has the
    faces in it. Masks are at most `TRACKED_SIDE` large. Up to `REACH` frames are read ahead, to the
    next key frame; meanwhile they are held as JPEGs.

    Raises `ImageError` where the clip ends before a key frame, and `MissingPackageError`.
    """
    follower = _Follower(keys, FaceTrack() if protect_faces else None)
    count = 0
    for count, frame in enumerate(frames, start=1):
        yield from follower.take(count - 1, frame)
    check_key_numbers(keys, count)
    yield from follower.rest()


class _Follower:
    """The masks of the frames that were taken so far, and those that wait for a key frame."""

    def __init__(self, keys: KeyMasks, faces: FaceTrack | None) -> None:
        self._estimator = FlowEstimator()
        self._slots = _by_slot(keys)
        self._key_numbers = [sorted(slot) for slot in self._slots]
        self._within = within_of(keys)
        self._faces = faces
        self._tracks: dict[int, _Track] = {}  # of each mask, that of its latest key frame
        self._waiting: deque[_Packed] = deque()
        self._before: Image.Image | None = None

    def take(self, number: int, filmed: Image.Image) -> Iterator[Masks]:
        """Take the next frame; yield the masks that are known by now."""
        frame = shrink(filmed, TRACKED_SIDE)
        motion = None
        if self._before is not None:
            motion = self._estimator.motion(self._before, frame)
        if motion is None or is_cut(motion):
            motion = None
            self._tracks = {}
            yield from self.rest()
        else:
            for track in _distinct(self._tracks):
                track.move(frame, motion)
        self._before = frame
        self._begin_tracks(number, frame)
        faces = self._faces.follow(filmed, frame.size, motion) if self._faces else None
        self._waiting.append(_Packed.of(number, frame, self._layers(frame.size), faces))
        yield from self._settled(number)

    def rest(self) -> Iterator[Masks]:
        """Yield the masks of all frames that wait, as they are known."""
        while self._waiting:
            yield self._waiting.popleft().masks(self._within)

    def _begin_tracks(self, number: int, frame: Image.Image) -> None:
        """Begin to follow the masks that were painted on a frame, and lead them back in time."""
        painted = {
            slot: _levels(masks[number], frame.size)
            for slot, masks in enumerate(self._slots)
            if number in masks
        }
        if not painted:
            return
        self._lead_back(number, frame, painted)
        track = _Track(number, frame, painted, self._estimator)
        self._tracks |= dict.fromkeys(painted, track)

    def _lead_back(self, key: int, frame: Image.Image, painted: dict[int, Levels]) -> None:
        """Give the frames that wait their share of the masks of a later key frame."""
        begins = {slot: self._earlier_key(slot) for slot in painted}
        track, later = _Track(key, frame, painted, self._estimator), frame
        for index in range(len(self._waiting) - 1, -1, -1):
            packed = self._waiting[index]
            slots = [slot for slot, begin in begins.items() if packed.number > begin]
            if not slots:
                return
            earlier = packed.frame()
            track.move(earlier, self._estimator.motion(later, earlier))
            later = earlier
            self._waiting[index] = packed.joined(
                {slot: track.layer(slot) for slot in slots},
                {slot: _share(packed.number, begins[slot], key) for slot in slots},
            )

    def _earlier_key(self, slot: int) -> int:
        """Return the number of a mask's latest key frame in this scene, or −1."""
        track = self._tracks.get(slot)
        return track.number if track else -1

    def _layers(self, size: tuple[int, int]) -> list[_Layer | None]:
        return [
            self._tracks[slot].layer(slot) if slot in self._tracks else None
            for slot in range(len(self._slots))
        ]

    def _settled(self, number: int) -> Iterator[Masks]:
        """Yield the masks of the frames that no later key frame has a say in."""
        while self._waiting:
            first = self._waiting[0]
            if number - first.number < REACH and self._next_key(first.number) > number:
                return
            yield self._waiting.popleft().masks(self._within)

    def _next_key(self, number: int) -> int:
        """Return the last of the masks' next key frames after a frame; −1 without any."""
        following = (
            numbers[index]
            for numbers in self._key_numbers
            if (index := bisect_right(numbers, number)) < len(numbers)
        )
        return max(following, default=-1)


def _share(number: int, begin: int, end: int) -> float:
    """Return the share of the later of two key frames, or 1 where there is no earlier one."""
    if begin < 0:
        return 1.0
    return max(0.0, 1 - (end - number) / min(end - begin, REACH))


@dataclass(frozen=True)
class _Layer:
    """A mask on a frame: its values, and how far they were followed and not filled in, (H, W)."""

    values: Levels
    trust: Levels

    def joined(self, other: _Layer, share: float) -> _Layer:
        """Return this layer and another one, which has a share."""
        mine = (1 - share) * np.maximum(self.trust, LEAST_TRUST)
        others = share * np.maximum(other.trust, LEAST_TRUST)
        values = (mine * self.values + others * other.values) / (mine + others)
        return _Layer(values.astype(np.float32), np.maximum(self.trust, other.trust))


@dataclass(frozen=True)
class _Packed:
    """The masks of a frame, 8-bit and compressed, and the frame as a JPEG."""

    number: int
    size: tuple[int, int]
    picture: bytes
    layers: tuple[bytes | None, ...]
    faces: Image.Image | None

    @staticmethod
    def of(
        number: int,
        frame: Image.Image,
        layers: Sequence[_Layer | None],
        faces: Image.Image | None,
    ) -> _Packed:
        buffer = io.BytesIO()
        frame.convert("RGB").save(buffer, "JPEG", quality=PACKED_QUALITY, subsampling=0)
        packed = tuple(_pack(layer) if layer else None for layer in layers)
        return _Packed(number, frame.size, buffer.getvalue(), packed, faces)

    def frame(self) -> Image.Image:
        """Return the frame."""
        with Image.open(io.BytesIO(self.picture)) as picture:
            return picture.convert("RGB")

    def joined(self, later: Mapping[int, _Layer], shares: Mapping[int, float]) -> _Packed:
        """Return it with the masks of a later key frame, by their shares."""
        layers = list(self.layers)
        for slot, layer in later.items():
            mine = self._layer(slot)
            layers[slot] = _pack(mine.joined(layer, shares[slot]) if mine else layer)
        return replace(self, layers=tuple(layers))

    def masks(self, within: tuple[Image.Image | None, ...]) -> Masks:
        """Return the masks of the frame."""
        *regions, keep = (
            _picture(layer.values) if (layer := self._layer(slot)) else None
            for slot in range(len(self.layers))
        )
        if keep and self.faces:
            keep = Image.fromarray(np.maximum(np.asarray(keep), np.asarray(self.faces)))
        return Masks(tuple(regions), keep or self.faces, within, is_followed=True)

    def _layer(self, slot: int) -> _Layer | None:
        packed = self.layers[slot]
        if packed is None:
            return None
        width, height = self.size
        both = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(2, height, width)
        values, trust = both.astype(np.float32) / 255
        return _Layer(values, trust)


def _pack(layer: _Layer) -> bytes:
    both = np.stack([layer.values, layer.trust])
    return zlib.compress((255 * both).round().astype(np.uint8).tobytes(), 1)


class _Track:
    """The masks of one key frame, and where in it each pixel of the present frame was.

    Flows are composed, and the masks are looked up once in the key frame: so their edges are as
    sharp or soft on the last frame as they were painted. What composed flows have strayed is seen
    by a comparison with the key frame itself, and corrected.
    """

    def __init__(
        self,
        number: int,
        frame: Image.Image,
        masks: Mapping[int, Levels],
        estimator: FlowEstimator,
    ) -> None:
        self.number = number
        self._slots = list(masks)
        self._masks = np.stack(list(masks.values()))  # (n, H, W)
        self._key = np.asarray(frame.convert("L"))
        self._estimator = estimator
        height, width = self._key.shape
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        self._places: Field = np.stack([x, y], -1)  # in the key frame, in pixels
        self._is_known: Mask = np.ones((height, width), np.bool_)  # that its place is
        self._values = self._masks

    def layer(self, slot: int) -> _Layer:
        """Return one of the masks as it is on the present frame."""
        values = self._values[self._slots.index(slot)]
        return _Layer(values, self._is_known.astype(np.float32))

    def move(self, frame: Image.Image, motion: Motion) -> None:
        """Follow the masks to the next frame, or, backward in time, to the one before."""
        self._carry(motion.backward)
        self._is_known &= ~motion.hidden
        self._correct(np.asarray(frame.convert("L")))
        found = np.stack([_at(mask, self._places) for mask in self._masks])
        values = np.where(self._is_known, found, self._values)
        self._values = fill(values, motion.hidden, np.asarray(frame, np.float32))

    def _carry(self, backward: Field) -> None:
        """Take places, and what was filled in, along a flow.

        The place of the nearest pixel is taken, with the parts of a pixel between the two: means of
        places on both sides of an edge would be places of neither.
        """
        x, y, rest = _nearest(backward)
        self._places = self._places[y, x] + rest
        self._is_known = self._is_known[y, x]
        self._values = self._values[:, y, x]

    def _correct(self, frame: npt.NDArray[np.uint8]) -> None:
        """Correct places by up to `LARGEST_CORRECTION`, where the frame is then more like the key.

        Without the key frame's look, errors of composed flows would add up.
        """
        moved = _at(self._key, self._places)
        residual = self._estimator.flow(frame, moved)
        x, y, rest = _nearest(residual)
        corrected = self._places[y, x] + rest
        before, after = (
            box_mean(np.abs(frame.astype(np.float32) - seen))
            for seen in (moved, _at(self._key, corrected))
        )
        is_small = np.square(residual).sum(-1) < LARGEST_CORRECTION**2
        is_better = before > BETTER * after + BETTER_LEVELS
        where = is_small & is_better & self._is_known & self._is_known[y, x]
        self._places = np.where(where[..., None], corrected, self._places)


def fill(values: Levels, missing: Mask, frame: Levels) -> Levels:
    """Return (n, H, W) masks whose `missing` values, (H, W), are those of pixels around.

    Pixels of a like colour count, the near ones for more; `frame` is (H, W, 3) in levels. Where
    none is near, values stay.
    """
    rows, columns = np.nonzero(missing)
    if not rows.size:
        return values
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    radii = np.repeat(RADII, DIRECTIONS)
    y = rows[:, None] + (radii * np.tile(np.sin(angles), len(RADII))).round().astype(int)
    x = columns[:, None] + (radii * np.tile(np.cos(angles), len(RADII))).round().astype(int)
    height, width = missing.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)  # (pixels, neighbours)
    far = np.square(frame[y, x] - frame[rows, columns][:, None]).sum(-1)
    weights = np.exp(-far / (2 * 3 * SAME_COLOR**2)) / radii * inside * ~missing[y, x]
    total = weights.sum(-1)
    filled = (weights * values[:, y, x]).sum(-1) / np.maximum(total, 1e-9)  # (n, pixels)
    result = values.copy()
    result[:, rows, columns] = np.where(total > 1e-4, filled, values[:, rows, columns])
    return result


def _nearest(backward: Field) -> tuple[Any, Any, Field]:
    """Return x and y of the pixel nearest to each one's earlier place, and what is between them."""
    height, width = backward.shape[:2]
    x = np.arange(width, dtype=np.float32) + backward[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + backward[..., 1]
    near_x, near_y = (
        np.rint(place).astype(np.intp).clip(0, side - 1)
        for place, side in ((x, width), (y, height))
    )
    rest = np.stack([x - near_x, y - near_y], -1).astype(np.float32)
    return near_x, near_y, rest


def _at(picture: npt.NDArray[Any], places: Field) -> Any:
    """Return a picture (H, W) at places of it, by linear interpolation."""
    cv2 = load_opencv(NEEDED)
    x, y = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _by_slot(keys: KeyMasks) -> list[dict[int, Image.Image]]:
    """Return the masks of each region, and then what is kept, by the numbers of their frames."""
    n_regions = _n_regions(keys)
    slots: list[dict[int, Image.Image]] = [{} for _ in range(n_regions + 1)]
    for number, masks in keys.items():
        padded = (*masks.regions, *[None] * (n_regions - len(masks.regions)), masks.keep)
        for slot, mask in zip(slots, padded, strict=True):
            if mask is not None:
                slot[number] = mask
    return slots


def _n_regions(keys: KeyMasks) -> int:
    return max((len(masks.regions) for masks in keys.values()), default=0)


def _distinct(tracks: Mapping[int, _Track]) -> Iterable[_Track]:
    return {id(track): track for track in tracks.values()}.values()


def _levels(mask: Image.Image, size: tuple[int, int]) -> Levels:
    fitted = np.asarray(mask.resize(size, Image.Resampling.BILINEAR), np.float32)
    return fitted / np.float32(255)


def _picture(values: Levels) -> Image.Image:
    return Image.fromarray((255 * values).round().clip(0, 255).astype(np.uint8))
