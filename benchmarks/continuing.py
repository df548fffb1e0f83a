"""How far a run gets that is cut into passages, or edited on the way, beside one in one go.

Every figure is J of the finished picture, as the run reports it (float32), at equal iterations:

- in one go to N iterations;
- 60 and then "10 more" and "30 more" until N, and 10 at a time from the beginning, each going on
  from the moment before, as "more" does and a reload of the page;
- the same from the 8-bit picture alone, as after a restart of the server;
- ten edits of β, one every three iterations, beside one edit to the last β.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable

from PIL import Image

from benchmarks.example_pictures import load_pair
from nst import TransferSettings, TransferStep, transfer_style
from nst.engine.schedule import Moment

Pictures = tuple[Image.Image, Image.Image]  # the photo and the painting

PAIRS = (
    ("castle", "night_impasto"),
    ("astronaut", "mosaic_koi"),
    ("coffee", "gilded_garden"),
    ("bridge", "pointillism"),
)
PORTIONS = ((60, 10), (60, 30), (10, 10))  # iterations at first, and in each passage after
EDITS, EDIT_EVERY, EDITS_BEGIN = 10, 3, 9


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.continuing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", type=int, default=128, metavar="PX")
    parser.add_argument("--total", type=int, default=260, metavar="N")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), metavar="COUNT")
    options = parser.parse_args()
    print("| pair | optimiser | run | J | beside one go |")
    print("| --- | --- | --- | --- | --- |")
    for content, style in PAIRS[: options.pairs]:
        pictures = (*load_pair(content, style),)
        for optimizer in ("lbfgs", "adam"):
            settings = TransferSettings(
                size=options.size, iterations=options.total, optimizer=optimizer
            )
            measure(f"{content}, {style}", pictures, settings)


def measure(pair: str, pictures: Pictures, settings: TransferSettings) -> None:
    """Print all rows of a pair and an optimiser."""

    def row(run: str, J: float, beside: float) -> None:
        name = settings.optimizer
        print(f"| {pair} | {name} | {run} | {J:.4g} | {J / beside:.3f} |", flush=True)

    total = settings.iterations
    whole = last_of(transfer_style(*pictures, settings)).J
    row(f"{total} in one go", whole, whole)
    for first, each in PORTIONS:
        row(f"{first}, then {each} more", in_portions(pictures, settings, first, each), whole)
    for first, each in PORTIONS[:2]:
        alone = in_portions(pictures, settings, first, each, keep_state=False)
        row(f"{first}, then {each} more from the 8-bit picture", alone, whole)
    once = edited(pictures, settings.replace(iterations=60), edits=1)
    row("60, β to 4 at once", once, once)
    row(f"60, β to 4 in {EDITS} edits", edited(pictures, settings.replace(iterations=60)), once)


def in_portions(
    pictures: Pictures,
    settings: TransferSettings,
    first: int,
    each: int,
    *,
    keep_state: bool = True,
) -> float:
    """Return J after passages of so many iterations."""
    count, begin = first, None
    while True:
        step = last_of(transfer_style(*pictures, settings.replace(iterations=count), begin=begin))
        if count >= settings.iterations:
            return step.J
        begin = step.moment if keep_state else Moment(step.image, step.iteration)
        count = min(settings.iterations, count + each)


def edited(pictures: Pictures, settings: TransferSettings, *, edits: int = EDITS) -> float:
    """Return J, under the last β, of a run whose β goes from 1 to 4 in so many equal factors."""
    begin, at = None, EDITS_BEGIN
    for number in range(edits + 1):
        beta = math.exp(math.log(4.0) * number / edits)
        steps = transfer_style(*pictures, settings.replace(beta=beta), begin=begin)
        step = last_of(steps if number == edits else until(steps, at))
        begin, at = step.moment, at + EDIT_EVERY
    return step.J


def until(steps: Iterable[TransferStep], iteration: int) -> Iterable[TransferStep]:
    """Yield the steps up to an iteration."""
    for step in steps:
        yield step
        if step.iteration >= iteration:
            return


def last_of(steps: Iterable[TransferStep]) -> TransferStep:
    for step in steps:
        last = step
    return last


if __name__ == "__main__":
    main()
