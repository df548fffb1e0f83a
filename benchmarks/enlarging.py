"""A finished picture enlarged twofold, as the page does it, beside a fresh run at that size.

Costs are those of the delivered picture in float32, at the larger size; evaluations are weighted by
their pixels and told in those of the larger size. A fresh run of the sizes that `benchmarks.sizes`
has measured is not repeated. Writes a table to stdout.
"""

from __future__ import annotations

import argparse
import sys

from PIL import Image

from benchmarks.example_pictures import load_pair
from benchmarks.sizes import Result, keep, kept, measure, picture_file
from nst.console import run_command
from nst.engine.schedule import Moment, plan_scales
from nst.engine.transfer import transfer_style
from nst.settings import DEFAULTS, TransferSettings

PAIRS = ("castle starry_night", "coffee great_wave", "moose olive_trees")
MORE = 36  # iterations, as the page's button for a larger picture gives


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.enlarging", description=__doc__)
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar='"PHOTO PAINTING"')
    parser.add_argument("--size", type=int, default=256, metavar="PX", help="of the small picture")
    parser.add_argument("--iterations", nargs="+", type=int, default=(MORE,), metavar="N")
    options = parser.parse_args()
    print("| pair | px | iterations | evaluations | of a fresh run's | J | content | style |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for pair in options.pairs:
        fresh = measured(pair, 2 * options.size)
        measured(pair, options.size)
        for more in options.iterations:
            print(row(pair, options.size, more, fresh), flush=True)


def measured(pair: str, size: int) -> Result:
    """Return the result of a fresh run, measured now where that was not done."""
    key = (pair, size, DEFAULTS.base_weight)
    result = kept().get(key)
    if result is None or not picture_file(*key).exists():
        result = measure(*key)
        keep(result)
    return result


def row(pair: str, size: int, more: int, fresh: Result) -> str:
    """Return a line of the table: costs are told in those of the fresh run."""
    photo, painting = load_pair(*pair.split())
    with Image.open(picture_file(pair, size, DEFAULTS.base_weight)) as picture:
        begin = Moment(picture.convert("RGB"), DEFAULTS.iterations)
    settings = TransferSettings(size=2 * size, iterations=DEFAULTS.iterations + more)
    evaluations = sum(scale.work for scale in plan_scales(settings, begin)) / settings.size**2
    for step in transfer_style(photo, painting, settings, begin=begin):
        last = step
    return (
        f"| {pair} | {size} to {2 * size} | {more} | {evaluations:.1f}"
        f" | {evaluations / fresh.evaluations:.2f} | {last.J / fresh.J:.2f}"
        f" | {last.content / fresh.content:.2f} | {last.style / fresh.style:.2f} |"
    )


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.enlarging"))
