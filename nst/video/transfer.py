"""The run of a film: frame after frame, each from the paint of those before it.

Ruder, Dosovitskiy & Brox 2016, "Artistic style transfer for videos", on the engine of single
pictures. `transfer_video` is a generator; it knows nothing of files, and holds no more frames than
the temporal cost asks for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat, tee

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst.engine import devices
from nst.engine.color_transfer import Chroma
from nst.engine.inputs import Inputs, Sources
from nst.engine.kept_photo import KeptObjective, KeptPhoto
from nst.engine.minimization import CostFunction, Point, RunState, minimize
from nst.engine.optimizers import (
    SMALLEST_STEP,
    BoxLBFGS,
    Optimizer,
    history_of,
    make_optimizer,
)
from nst.engine.schedule import Scale, held_at, style_side
from nst.engine.style_target import MOVED, Guidance
from nst.engine.temporal import TemporalObjective
from nst.engine.transfer import (
    TransferStep,
    checked_paintings,
    transfer_style,
    transformed_paintings,
)
from nst.images.color import has_color, to_grey
from nst.images.color_transfer import prepare_colors
from nst.images.masks import Masks
from nst.images.tensors import fit, mask_bytes, shrink, to_image, to_tensor
from nst.provenance import provenance_of
from nst.settings import DEFAULTS, FILM_DEFAULTS, FilmSettings, PaintingUse, TransferSettings
from nst.vgg.network import VGG
from nst.video.flow import FlowEstimator, warp
from nst.video.history import MaskLevels, Recalled, SceneHistory, is_cut
from nst.video.mask_tracks import KeyMasks, check_key_masks, followed_masks, within_of

TEMPORAL_UNIT = 3000.0  # what a temporal weight of 1 stands for; times β

STAYS = 0.8  # of mature paint on what stands still, in a frame in which other things move: where
# it cannot answer to what becomes of them, the style of the whole strays further in each frame
TEXTURE = 9  # pixels; what is finer than that is texture

NO_MASKS = Masks()

SettingsAt = Callable[[int], TransferSettings]
"""Returns the settings of a frame, by its number from 0, where they change over the film."""

Remembered = Callable[[int], Image.Image | None]
"""Returns the picture of a frame, by its number from 0, that was painted before, if it was."""


@dataclass(frozen=True)
class Scene:
    """A scene of a film, by its number from 0: its frames from `start` to before `stop`."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class FilmStep:
    """One reported moment of a film: a step of one of its frames.

    `step.iteration` and `step.total` are those of the frame; the first frame of a scene is painted
    as a picture is, and the others go on from the one before. `step` counts seconds from the start
    of the film, and estimates none that are left: how long the clip is, is the caller's to know.
    """

    frame: int  # from 0
    scene: int  # from 0
    step: TransferStep
    is_finished: bool  # whether this is the frame as it stays
    temporal: float = 0.0  # the temporal cost, with its weight; not part of J
    seen: float = 0.0  # the share of the pixels that earlier frames tell of
    filmed: Image.Image | None = field(default=None, repr=False, compare=False)
    masks: Masks | None = field(default=None, repr=False, compare=False)  # of this frame, if any

    @property
    def image(self) -> Image.Image:
        """Return the picture of the frame so far, 8-bit RGB."""
        return self.step.image


def transfer_video(
    clip: Iterable[Image.Image],
    styles: Image.Image | Sequence[Image.Image],
    settings: TransferSettings = DEFAULTS,
    film: FilmSettings = FILM_DEFAULTS,
    *,
    masks: KeyMasks | None = None,
    protect_faces: bool = False,
    settings_at: SettingsAt | None = None,
    painted: Remembered = lambda frame: None,
    only: Scene | None = None,
    device: str = "auto",
    network: VGG | None = None,
) -> Iterator[FilmStep]:
    """Paint the frames of a clip in the manner of `styles`, without flicker.

    Yields a `FilmStep` for each step of each frame; the last one of a frame is finished. `clip`
    yields RGB pictures of one size, and is asked for a frame when the one before is done. Closing
    the generator ends the film at once.

    The first frame of a scene is painted by `transfer_style`. Each other one starts from earlier
    paint moved along the optical flow, and keeps to it by the temporal cost, in
    `film.frame_iterations` iterations at full size, and more where much is new. Paint on what
    stands still is left as it is once it has matured. The targets of the style are worked out once;
    paintings that are matched to the photo's colours are matched to the first frame's.

    `masks` say where each painting rules and what is left as it was filmed, by the numbers, from 0,
    of the frames that they were painted on: each is followed along the flow to the other frames of
    its scene, between two of its frames by shares of both. With `protect_faces` faces are found on
    each frame, and left as they were filmed. Which part of a painting is taken (`Masks.within`) is
    the same in all frames. For masks the clip is iterated twice at the same time, the second time
    ahead as far as the next frame that masks were painted on; of an iterator that can be asked only
    once, the frames in between are held.

    `settings_at` lets α, β, the layer weights and those of the paintings change from frame to
    frame; all else stays as in `settings`. While they change no paint is left as it is.

    `painted` are frames that were painted before, with the same clip and settings: a film goes on
    from them; what L-BFGS had learned is lost.

    With `only` nothing but that scene is painted, just as it is in the whole film: the frames
    before it are looked at, for what they tell of the film's colours and masks.

    Raises what `transfer_style` does, `ImageError` for masks of frames that the clip does not have,
    and `MissingPackageError` where OpenCV is not installed.
    """
    estimator = FlowEstimator()
    paintings = checked_paintings(styles)
    masks = masks or {}
    frames = _with_masks(clip, masks, settings, protect_faces=protect_faces)
    network = network or devices.load_network(settings, device)
    painter: FramePainter | None = None
    began, scene = time.monotonic(), (only.number if only else 0) - 1
    history = SceneHistory(estimator)
    for number, (filmed, followed) in enumerate(frames):
        if painter is None:
            check_key_masks(masks, filmed, paintings, settings.uses(len(paintings)))
            painter = FramePainter(filmed, paintings, settings, film, network, within_of(masks))
        frame = painter.prepared(filmed, followed)
        if only and number < only.start:
            continue
        if only and number == only.stop:
            return
        is_new = settings_at is not None and painter.change(settings_at(number))
        levels = painter.mask_levels(frame)
        recalled = history.recall(frame, keeps=not is_new, masks=levels)
        if recalled is None:
            scene, history = scene + 1, SceneHistory(estimator)
        done = painted(number)
        steps = (
            painter.remembered(frame, done, recalled)
            if done
            else painter.first(frame)
            if recalled is None
            else painter.following(frame, recalled)
        )
        for each in steps:
            step = replace(
                each.step,
                elapsed=time.monotonic() - began,
                pixels=painter.finish(each.step.pixels, filmed),
            )
            shown = followed if followed else None
            yield replace(each, frame=number, scene=scene, step=step, filmed=filmed, masks=shown)
        iterations, kept = painter.iterations(recalled), recalled.kept if recalled else None
        history.add(frame, painter.paint_of(each.step), iterations, kept, levels)


def find_scenes(
    clip: Iterable[Image.Image],
    styles: Image.Image | Sequence[Image.Image],
    settings: TransferSettings,
    film: FilmSettings,
    network: VGG,
) -> Iterator[Scene]:
    """Yield the scenes that `transfer_video` finds, without painting: by the flow between frames.

    Of the network only its device is asked. Raises what `transfer_video` does.
    """
    estimator, painter = FlowEstimator(), None
    before: Image.Image | None = None
    number = start = stop = 0
    for stop, filmed in enumerate(clip):
        painter = painter or FramePainter(
            filmed, checked_paintings(styles), settings, film, network
        )
        frame = painter.prepared(filmed, Masks())
        if before is not None and is_cut(estimator.motion(before, frame)):
            yield Scene(number, start, stop)
            number, start = number + 1, stop
        before = frame
    if before is not None:
        yield Scene(number, start, stop + 1)


def _with_masks(
    clip: Iterable[Image.Image], keys: KeyMasks, settings: TransferSettings, *, protect_faces: bool
) -> Iterator[tuple[Image.Image, Masks]]:
    """Yield each frame with its masks."""
    if not (protect_faces or any(keys.values())):
        yield from zip(clip, repeat(NO_MASKS), strict=False)
        return
    frames = iter(clip)
    frames, ahead = tee(frames) if frames is clip else (frames, iter(clip))
    small = (shrink(frame, settings.size) for frame in ahead)
    yield from zip(frames, followed_masks(small, keys, protect_faces=protect_faces), strict=True)


class FramePainter:
    """What the frames of a film share: paintings as they are seen, settings, and the network.

    Steps that it yields are of painted pixels, before `finish`, and of no frame's number yet.
    """

    def __init__(
        self,
        first: Image.Image,
        paintings: Sequence[Image.Image],
        settings: TransferSettings,
        film: FilmSettings,
        network: VGG,
        within: tuple[Image.Image | None, ...] = (),
    ) -> None:
        self.network, self.film = network, film
        self._masks, self._original = NO_MASKS, first  # of the present frame
        self._kept: KeptPhoto | None = None  # of it, too
        self.is_luminance_only = settings.is_luminance_only
        self._has_color = False
        self._optimizer: Optimizer | None = None  # of the frame before
        turned, masks = transformed_paintings(paintings, Masks(within=within), settings)
        self._within = masks.within
        grey, self.paintings = prepare_colors(first, turned, settings.color_transfer, masks.within)
        self.is_grey = grey is not first
        uses = settings.uses(len(paintings))
        self.settings = settings.replace(
            color_transfer="none",
            paintings=tuple(
                replace(use, crop=PaintingUse().crop, rotation=0.0, mirror=False) for use in uses
            ),
        )
        side = style_side(settings.size, settings)
        self.fitted = [
            fit(painting, max(1, round(side * use.scale)))
            for painting, use in zip(self.paintings, uses, strict=True)
        ]
        self.provenance = provenance_of(network.device, network.dtype)

    def change(self, settings: TransferSettings) -> bool:
        """Take other weights from now on; tell whether they are others."""
        uses = zip(
            self.settings.uses(len(self.paintings)),
            settings.uses(len(self.paintings)),
            strict=True,
        )
        changed = self.settings.replace(
            alpha=settings.alpha,
            beta=settings.beta,
            layer_weights=settings.layer_weights,
            paintings=tuple(replace(mine, weight=theirs.weight) for mine, theirs in uses),
        )
        is_other, self.settings = changed != self.settings, changed
        return is_other

    def prepared(self, filmed: Image.Image, masks: Masks = NO_MASKS) -> Image.Image:
        """Take the next frame with its masks.

        Return it at its size, as it is seen: grey where the film is, up to colour noise.
        """
        frame = original = fit(filmed, self.settings.size)
        self._has_color = self._has_color or has_color(frame)
        if self.is_grey or not self._has_color:
            frame = to_grey(frame)
        self._masks = replace(masks, within=self._within)
        self._original = frame if self.is_luminance_only else original
        self._kept = None
        if masks.keep:
            photo = to_tensor(self._original).to(self.network.device)
            self._kept = KeptPhoto(photo, mask_bytes(masks.keep, frame.size))
        return frame

    def mask_levels(self, frame: Image.Image) -> MaskLevels | None:
        """Return the masks of a frame at its size, if it has any: those of regions, and kept."""
        given = [mask for mask in (*self._masks.regions, self._masks.keep) if mask]
        if not given:
            return None
        return np.concatenate([mask_bytes(mask, frame.size)[0].numpy() for mask in given])

    def paint_of(self, step: TransferStep) -> Image.Image:
        """Return what was painted, where a picture is composed of it and of what is kept.

        Where it is known in 8 bits only, a film that goes on is the same as one in one go.
        """
        if self._kept is None:
            return step.image
        return to_image(self._kept.painted(to_tensor(step.image).to(self.network.device)))

    def finish(self, pixels: Tensor, filmed: Image.Image) -> Tensor:
        """Return what is delivered: with the frame's chroma, where luminance alone is painted."""
        if not self.is_luminance_only:
            return pixels
        return Chroma(filmed, is_seamless=self.settings.is_seamless)(pixels)

    def iterations(self, recalled: Recalled | None) -> int:
        """Return the iterations that a frame gets: more, up to a picture's, where much is new."""
        whole = self.settings.iterations
        few = min(self.film.frame_iterations, whole)
        if recalled is None:
            return whole
        if recalled.is_all_kept:
            return 0
        return few + round((whole - few) * recalled.new_share)

    def first(self, frame: Image.Image) -> Iterator[FilmStep]:
        """Paint the first frame of a scene, as a picture."""
        steps = transfer_style(
            frame, self.paintings, self.settings, masks=self._masks, network=self.network
        )
        for step in steps:
            self._optimizer = step.state.optimizer if isinstance(step.state, RunState) else None
            yield FilmStep(0, 0, step, is_finished=step.iteration == step.total)

    def remembered(
        self, frame: Image.Image, picture: Image.Image, recalled: Recalled | None
    ) -> Iterator[FilmStep]:
        """Yield a frame that was painted before."""
        self._optimizer = None
        total, seen = self.iterations(recalled), float(recalled.seen.mean()) if recalled else 0.0
        picture = to_grey(picture) if self.is_luminance_only else picture
        pixels = to_tensor(picture).to(self.network.device)
        step = self._step(total, total, pixels, None)
        yield FilmStep(0, 0, step, is_finished=True, seen=seen)

    def afresh(self, frame: Image.Image, recalled: Recalled) -> Iterator[FilmStep]:
        """Paint a frame from earlier paint, with nothing that L-BFGS has learned of others."""
        self._optimizer = None
        return self.following(frame, recalled)

    def following(self, frame: Image.Image, recalled: Recalled) -> Iterator[FilmStep]:
        """Paint a frame from earlier paint."""
        total, seen = self.iterations(recalled), float(recalled.seen.mean())
        if recalled.is_all_kept:
            paint = recalled.warped.to(self.network.device)
            step = self._step(0, 0, self._composed(paint), None)
            yield FilmStep(0, 0, step, is_finished=True, seen=seen)
            return
        sources = Sources(
            *(frame, self.fitted, self.settings, self.network, self._masks),
            original=self._original,
        )
        scale = Scale(
            self.settings.size,
            ((self._guidance(), total),),
            held_at(self.settings.size, self.settings),
        )
        inputs = sources.at(scale.size, sources.tile_sides([scale])[scale.size])
        warped = recalled.warped.to(self.network.device)
        start = self._start(inputs, warped, recalled)
        objective, kept = self._objective(sources.cost_function(scale, inputs), warped, recalled)
        objective.guidance = scale.phases[0][0]
        optimizer = self._next_optimizer(start, recalled)
        for iteration, iterate in enumerate(minimize(objective, start, optimizer, total)):
            best = iterate.best
            picture = self._composed(kept.compose(best.image))
            step = self._step(iteration, total, picture, best)
            yield FilmStep(0, 0, step, iteration == total, temporal=best.costs.temporal, seen=seen)

    def _composed(self, paint: Tensor) -> Tensor:
        """Return a picture of paint, and of the frame where it is kept."""
        return self._kept.compose(paint) if self._kept else paint

    def _guidance(self) -> Guidance | None:
        return None if self.settings.optimizer == "adam" else MOVED

    def _next_optimizer(self, start: Tensor, recalled: Recalled) -> Optimizer:
        """Return an optimiser with what was learned of the frame before, moved along the flow."""
        earlier = self._optimizer
        if isinstance(earlier, BoxLBFGS):
            self._optimizer = earlier.moved(lambda values: warp(values, recalled.backward))
        else:
            self._optimizer = make_optimizer(
                self.settings.optimizer, first_step=SMALLEST_STEP, history=history_of(start)
            )
        return self._optimizer

    def _start(self, inputs: Inputs, warped: Tensor, recalled: Recalled) -> Tensor:
        """Return earlier paint; where none shows what is there, the colours that a run begins with.

        They get the texture of the paint that happens to be there: it has the style already.
        """
        new = torch.from_numpy(recalled.new).to(warped.device)
        if not bool(new.any()):
            return warped
        texture = warped - F.avg_pool2d(
            warped, TEXTURE, stride=1, padding=TEXTURE // 2, count_include_pad=False
        )
        fresh = inputs.starting_picture(self.settings) + texture
        return torch.where(new, fresh.clamp(0, 1), warped)

    def _objective(
        self, objective: CostFunction, warped: Tensor, recalled: Recalled
    ) -> tuple[CostFunction, KeptPhoto]:
        """Return J with the temporal cost, of a picture in which paint stays where it is to."""
        weight = TEMPORAL_UNIT * self.settings.beta * self.film.temporal_weight
        if weight:
            seen = torch.from_numpy(recalled.seen)[None, None].to(warped)
            objective = TemporalObjective(objective, warped, seen, weight)
        share = round(255 * STAYS)  # in bytes
        keep = torch.from_numpy(recalled.kept.astype(np.uint8) * np.uint8(share))[None, None]
        kept = KeptPhoto(warped, keep)
        return KeptObjective(objective, kept), kept

    def _step(self, iteration: int, total: int, pixels: Tensor, best: Point | None) -> TransferStep:
        costs = best.costs if best else None
        return TransferStep(
            iteration=iteration,
            total=total,
            width=pixels.shape[-1],
            height=pixels.shape[-2],
            J=costs.J if costs else math.nan,
            content=costs.content if costs else math.nan,
            style=costs.style if costs else math.nan,
            layers=costs.layers if costs else {},
            smoothness=costs.smoothness if costs else 0.0,
            elapsed=0.0,
            remaining=0.0,
            pixels=pixels,
            provenance=self.provenance,
        )
