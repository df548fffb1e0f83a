"""What tests of runs and jobs share: networks that watch or fail, jobs that are painted by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from nst.engine.costs import Costs
from nst.engine.objective import Objective
from nst.engine.repaint import repaint
from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.images.recipe import parse_recipe
from nst.images.tensors import fit, fitted_size, to_tensor
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.vgg.network import VGG, Trace

SMALL = TransferSettings(size=64, iterations=6)  # one scale


class Recorder(VGG):
    """A network that remembers the (height, width) of every picture it was shown."""

    def __init__(self, network: VGG) -> None:
        self.__dict__.update(network.__dict__)
        self.identity = object()  # nothing is remembered of the original's pictures
        self.seen: list[tuple[int, int]] = []

    def walk(self, image: Tensor, layers: Any) -> Iterator[tuple[str, Tensor]]:
        self.seen.append((image.shape[2], image.shape[3]))
        return super().walk(image, layers)

    def observe(self, image: Tensor, layers: Any) -> Trace:
        self.seen.append((image.shape[2], image.shape[3]))
        return super().observe(image, layers)


class Saboteur(Recorder):
    """A network whose activations are multiplied by `factor` in some of its calls.

    With one style and one scale, call 0 sees the photo, 1 the painting, 2 the starting picture,
    and 2 + k the k-th iteration.
    """

    def __init__(self, network: VGG, calls: Sequence[int], factor: float) -> None:
        super().__init__(network)
        self.calls = calls
        self.factor = factor

    def walk(self, image: Tensor, layers: Any) -> Iterator[tuple[str, Tensor]]:
        return iter(self.spoil(dict(super().walk(image, layers))).items())

    def observe(self, image: Tensor, layers: Any) -> Trace:
        trace = super().observe(image, layers)
        return replace(trace, activations=self.spoil(trace.activations))

    def spoil(self, activations: dict[str, Tensor]) -> dict[str, Tensor]:
        if len(self.seen) - 1 in self.calls:
            return {name: self.factor * a for name, a in activations.items()}
        return activations


def evaluated(
    step: TransferStep,
    photo: Image.Image,
    styles: Sequence[Image.Image],
    settings: TransferSettings,
    network: VGG,
    pixels: Tensor | None = None,
) -> Costs:
    """The costs of a step's picture (or of other pixels of that size), judged afresh."""
    side = max(step.width, step.height)
    paintings = [to_tensor(fit(style, round(side * settings.style_scale))) for style in styles]
    objective = Objective(network, to_tensor(fit(photo, side)), paintings, settings)
    return objective.evaluate(step.pixels if pixels is None else pixels)[0]


def final(steps: Iterator[TransferStep]) -> Tensor:
    *_, last = steps
    return last.pixels


def tone(
    content: Image.Image,
    styles: Sequence[Image.Image],
    settings: TransferSettings,
    *,
    begin: Moment | None = None,
) -> Iterator[TransferStep]:
    """An engine without a network: each iteration makes a grey picture one level lighter."""
    done = begin.iteration if begin else 0
    level = tone_of(begin.picture) if begin else 0
    width, height = fitted_size(content.size, settings.size)
    total = max(done, settings.iterations)
    for iteration in range(done, total + 1):
        yield TransferStep(
            iteration=iteration,
            total=total,
            width=width,
            height=height,
            J=float(total - iteration),
            content=0.5,
            style=0.25,
            layers={"relu1_1": 0.25},
            elapsed=float(iteration - done),
            remaining=0.0,
            pixels=torch.full((1, 3, height, width), (level + iteration - done) / 255),
        )


def tone_of(picture: Image.Image) -> int:
    red, _, _ = picture.getpixel((0, 0))  # type: ignore[misc]
    return int(red)


def paint(job: Job, until: int | None = None) -> Job:
    for _ in job.run():
        if job.steps[-1].iteration == until:
            job.stop()
    return job


def iterations(job: Job) -> list[int]:
    return [step.iteration for step in job.steps]


def picture_of(job: Job) -> Image.Image:
    assert job.moment
    return job.moment.picture


def assert_replays(job: Job, engine: Engine) -> None:
    """The recipe, as text and back, leads to the same picture bit for bit."""
    recipe = parse_recipe(job.recipe().to_text())
    *_, last = repaint(recipe, job.content, job.styles, engine=engine)
    assert last.iteration == recipe.iterations
    assert last.image.size == picture_of(job).size
    assert last.image.tobytes() == picture_of(job).tobytes()


@pytest.fixture
def engine(network: VGG) -> Engine:
    """The real engine on a tiny network."""
    return partial(transfer_style, network=network)


@pytest.fixture
def job(photo: Image.Image, painting: Image.Image, engine: Engine) -> Job:
    return Job(photo, [painting], SMALL, visitor="v", engine=engine)


def lacking(error: Exception, *, above: int, after: int = 0) -> Engine:
    """An engine that runs out of memory for pictures larger than `above` pixels, `after` so many
    iterations."""

    def paint(*args: Any, **options: Any) -> Iterator[TransferStep]:
        for step in tone(*args, **options):
            if step.width > above and step.iteration >= after:
                raise error
            yield step

    return paint


def colors(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the colours of (1, 3, H, W)."""
    pixels = image[0].flatten(1).double()
    return pixels.mean(1), torch.cov(pixels, correction=0)
