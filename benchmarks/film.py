"""Films beside frames that are painted one by one: how much they flicker, and what they cost.

Clips are those of `benchmarks.clips`, whose motion is known. Along it each frame is compared with
the one before, where it was to be seen there: the warping error. Pictures are kept in
`artifacts/film`, figures in `benchmarks/results/film.json`; a clip that was measured is not
measured again, unless `--again` says so. Writes a table to stdout.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.clips import MAKERS, MadeClip
from nst.console import run_command
from nst.engine.devices import load_network
from nst.engine.objective import Objective
from nst.engine.transfer import stylize
from nst.images.reading import load_image
from nst.images.tensors import fit, to_tensor
from nst.settings import TransferSettings
from nst.studio.forecast import FORWARD, PlannedRun, work_of
from nst.video.flow import warp
from nst.video.transfer import transfer_video

STYLES = Path(__file__).parents[1] / "examples" / "style"
RESULTS = Path(__file__).parent / "results" / "film.json"
PICTURES = Path(__file__).parents[1] / "artifacts" / "film"
SIZE = (256, 192)
MOVING = ("pan", "zoom", "passing")
AT_REST = ("static", "noisy")
WAYS = {"filmed": "filmed", "frames": "painted one by one", "film": "painted as a film"}
CAPTION = 24  # pixels
MILLISECONDS, QUALITY = 110, 60  # of a frame of the film that shows them, and of its WebP
SHOWN = 4  # frames of a clip on its strip


@dataclass(frozen=True)
class Figures:
    """What was measured of the frames of one clip, painted in one way."""

    clip: str
    painting: str
    way: str  # "film", or "frames" for one by one
    count: int
    squared_error: float  # levels², mean over the values that were to be seen before
    absolute_error: float  # levels
    style: float  # the style cost J_style, mean over the frames
    brightness: float  # levels; the most that the mean strays from the first frame's
    detail: float  # share; the most that the energy of detail strays from the first frame's
    evaluations: float  # of a frame that follows, on average
    cpu_seconds: float  # of a frame that follows, on average, of all threads

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Return what makes it the measurement that was asked for."""
        return self.clip, self.painting, self.way, self.count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.film", description=__doc__)
    parser.add_argument("--clips", nargs="+", default=MOVING, choices=tuple(MAKERS))
    parser.add_argument("--painting", default="starry_night")
    parser.add_argument("--count", type=int, default=8, help="frames of a clip (default: 8)")
    parser.add_argument("--ways", nargs="+", default=("frames", "film"), choices=("frames", "film"))
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument("--strip", type=Path, help="write frames of both ways side by side here")
    parser.add_argument("--film", type=Path, help="write a WebP of all frames side by side here")
    options = parser.parse_args()
    wanted = [
        (clip, options.painting, way, options.count)
        for clip in options.clips
        for way in options.ways
    ]
    print(
        "| clip | painted | frames | error² | error | style | brightness | detail | evaluations |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for key in wanted:
        known = {each.key: each for each in _kept()}
        figures = known.get(key)
        if figures is None or options.again:
            figures = measure(*key)
            _keep(figures)
        print(_row(figures), flush=True)
    if options.strip:
        draw_strip(options.clips, options.painting, options.count, options.strip)
    if options.film:
        draw_film(options.clips, options.painting, options.count, options.film)


def measure(name: str, painting: str, way: str, count: int) -> Figures:
    """Paint a clip in one way, and measure it."""
    clip, settings = MAKERS[name](SIZE, count), TransferSettings(size=max(SIZE))
    style = load_image(STYLES / f"{painting}.jpg")
    load_network(settings)
    frames, evaluations, seconds = (_film if way == "film" else _one_by_one)(clip, style, settings)
    folder = _folder(name, painting, way, count)
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        frame.save(folder / f"{number:04}.png")
    squared, absolute = warping_error(clip, frames)
    return Figures(
        *(name, painting, way, count, squared, absolute),
        style=style_cost(clip, frames, style, settings),
        brightness=_straying([float(np.asarray(f).mean()) for f in frames], is_relative=False),
        detail=_straying([_detail(frame) for frame in frames], is_relative=True),
        evaluations=evaluations,
        cpu_seconds=seconds,
    )


def _film(
    clip: MadeClip, style: Image.Image, settings: TransferSettings
) -> tuple[list[Image.Image], float, float]:
    """Return the frames of a film, and the evaluations and CPU seconds of one that follows."""
    frames, evaluations, began = list[Image.Image](), list[float](), 0.0
    for step in transfer_video(clip, style, settings):
        if step.is_finished:
            frames.append(step.image)
            if step.frame == 0:
                began = time.process_time()
            else:
                evaluations.append(step.step.total + 1 + FORWARD if step.step.total else 0.0)
    return frames, float(np.mean(evaluations)), (time.process_time() - began) / len(evaluations)


def _one_by_one(
    clip: MadeClip, style: Image.Image, settings: TransferSettings
) -> tuple[list[Image.Image], float, float]:
    """Return the same of frames that know nothing of each other."""
    began = time.process_time()
    frames = [stylize(frame, style, settings) for frame in clip]
    work = work_of(PlannedRun(clip.size, [style.size], settings))
    evaluations = work.pixels / (clip.size[0] * clip.size[1])
    return frames, evaluations, (time.process_time() - began) / len(frames)


def warping_error(clip: MadeClip, frames: list[Image.Image]) -> tuple[float, float]:
    """Return the mean squared and the mean absolute difference along the true motion, in levels."""
    squares, sizes = list[float](), list[float]()
    for number in range(1, len(frames)):
        field = clip.earlier(number)
        if field is None:
            continue
        was_seen = ~np.isnan(field[..., 0])
        before = warp(to_tensor(frames[number - 1]), np.nan_to_num(field)).clamp(0, 1)
        difference = 255 * (to_tensor(frames[number]) - before)[0, :, torch.from_numpy(was_seen)]
        squares.append(float(difference.square().mean()))
        sizes.append(float(difference.abs().mean()))
    return float(np.mean(squares)), float(np.mean(sizes))


def style_cost(
    clip: MadeClip, frames: list[Image.Image], style: Image.Image, settings: TransferSettings
) -> float:
    """Return the mean style cost of up to eight of the frames."""
    network, seen = load_network(settings), to_tensor(fit(style, settings.size))
    costs = []
    for number in np.linspace(0, len(frames) - 1, min(8, len(frames))).round().astype(int):
        objective = Objective(network, to_tensor(clip.frame(int(number))), [seen], settings)
        costs.append(objective.costs(to_tensor(frames[number])).style)
    return float(np.mean(costs))


def _detail(frame: Image.Image) -> float:
    """Return the energy of a picture's finest detail, in levels²."""
    blurred = np.asarray(frame.filter(ImageFilter.GaussianBlur(1)), np.float32)
    return float(np.square(np.asarray(frame, np.float32) - blurred).mean())


def _straying(values: list[float], *, is_relative: bool) -> float:
    strayed = max(abs(value - values[0]) for value in values)
    return strayed / values[0] if is_relative else strayed


def draw_strip(names: list[str], painting: str, count: int, path: Path) -> None:
    """Write frames of the clips, painted one by one and as a film, side by side."""
    width, height = SIZE
    sheet = Image.new("RGB", (SHOWN * width, 3 * len(names) * height), "white")
    for row, name in enumerate(names):
        clip = MAKERS[name](SIZE, count)
        for column, number in enumerate(np.linspace(0, count - 1, SHOWN).round().astype(int)):
            left, top = column * width, 3 * row * height
            sheet.paste(clip.frame(int(number)), (left, top))
            for place, way in enumerate(("frames", "film"), start=1):
                folder = _folder(name, painting, way, count)
                sheet.paste(Image.open(folder / f"{number:04}.png"), (left, top + place * height))
    sheet.save(path, quality=85)


def draw_film(names: list[str], painting: str, count: int, path: Path) -> None:
    """Write an animated picture: each clip as filmed, painted one by one, and as a film.

    It plays to the end and back, for ever.
    """
    frames = [_side_by_side(names, painting, count, number) for number in range(count)]
    first, *others = [*frames, *frames[-2:0:-1]]
    first.save(
        *(path, "WEBP"),
        save_all=True,
        append_images=others,
        duration=MILLISECONDS,
        loop=0,
        quality=QUALITY,
        method=6,
    )


def _side_by_side(names: list[str], painting: str, count: int, number: int) -> Image.Image:
    """Return one frame of each clip, in each way, below the names of the ways."""
    width, height = SIZE
    sheet = Image.new("RGB", (len(WAYS) * width, CAPTION + len(names) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, caption in enumerate(WAYS.values()):
        place = ((column + 0.5) * width, CAPTION / 2)
        draw.text(place, caption, "black", ImageFont.load_default(CAPTION - 8), anchor="mm")
    for row, name in enumerate(names):
        clip = MAKERS[name](SIZE, count)
        for column, way in enumerate(WAYS):
            file = _folder(name, painting, way, count) / f"{number:04}.png"
            picture = clip.frame(number) if way == "filmed" else Image.open(file)
            sheet.paste(picture, (column * width, CAPTION + row * height))
    return sheet


def _folder(name: str, painting: str, way: str, count: int) -> Path:
    return PICTURES / f"{name}-{painting}-{count}-{way}"


def _row(figures: Figures) -> str:
    return (
        f"| {figures.clip} | {figures.way} | {figures.count} | {figures.squared_error:.1f}"
        f" | {figures.absolute_error:.2f} | {figures.style / 1e6:.2f} M"
        f" | {figures.brightness:.2f} | {100 * figures.detail:.1f} %"
        f" | {figures.evaluations:.1f} |"
    )


def _kept() -> list[Figures]:
    return [Figures(**each) for each in json.loads(RESULTS.read_text())] if RESULTS.exists() else []


def _keep(figures: Figures) -> None:
    others = [each for each in _kept() if each.key != figures.key]
    rows = sorted([*others, figures], key=lambda each: each.key)
    RESULTS.write_text(json.dumps([asdict(each) for each in rows], indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(run_command(main, "benchmarks.film"))
