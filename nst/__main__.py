"""The command line: `python -m nst photo.jpg painting.jpg -o out.png`.

Flags, defaults and ranges come from `TransferSettings`. Knows arguments and terminals only.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from nst.settings import LAYER_CHANNELS, TransferSettings, parse_layer_weights

if TYPE_CHECKING:
    from nst import TransferStep

BAR_WIDTH = 30
REPORTED = ("iteration", "total", "width", "height", "J", "content", "style", "layers", "elapsed")

Loaded = TypeVar("Loaded")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one transfer; the exit status is 0, or 1 after a one-line reason on stderr."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        run(options)
    except KeyboardInterrupt:
        print("\nnst: stopped, nothing was written", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError, ArithmeticError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        print(f"nst: {reason}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """One flag for each setting, and where things come from and go to."""
    parser = argparse.ArgumentParser(
        prog="python -m nst",
        description="Paint a photo in the manner of a painting, by optimising its pixels.",
    )
    parser.add_argument("content", metavar="CONTENT", help="the photo")
    parser.add_argument("styles", metavar="STYLE", nargs="+", help="the painting, or several")
    parser.add_argument("-o", "--output", metavar="OUT.png", required=True, help="PNG to write")
    parser.add_argument(
        "--recipe",
        metavar="RESULT.png",
        help="paint again as a picture made here was painted; its recipe takes the place of all"
        " settings",
    )
    for spec in dataclasses.fields(TransferSettings):
        parser.add_argument(f"--{spec.name.replace('_', '-')}", **_flag(spec))
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda", "mps"),
        help="where to compute (default: auto, the best there is)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per iteration on stdout"
    )
    return parser


def run(options: argparse.Namespace) -> None:
    """Stylise as asked. Errors of the engine pass through; no partial file is left."""
    output = Path(options.output)
    if output.suffix.lower() != ".png":
        raise ValueError(f"the output must be a .png file, not {output.name!r}")
    if not output.parent.is_dir():
        raise ValueError(f"there is no folder {str(output.parent)!r} to write to")
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise ValueError(f"{str(output)!r} cannot be written")
    names = {spec.name for spec in dataclasses.fields(TransferSettings)}
    given = {name: value for name, value in vars(options).items() if name in names}
    if options.recipe is not None and given:
        flag = "--" + min(given).replace("_", "-")
        raise ValueError(f"with --recipe the settings are the recipe's; leave out {flag}")
    settings = TransferSettings(**given)

    from nst import load_image  # after --help: torch takes seconds
    from nst.color import dial_colors
    from nst.images import whole_file
    from nst.provenance import provenance_of
    from nst.recipe import new_recipe, read_recipe, repaint, signed_png
    from nst.transfer import load_network, pick_device

    content, *styles = (_load(load_image, path) for path in (options.content, *options.styles))
    device = str(pick_device(options.device))
    known = None if options.recipe is None else _load(read_recipe, options.recipe)
    network = load_network(known.settings if known else settings, device)
    here = provenance_of(network.device, network.dtype)
    fresh = new_recipe(content, styles, settings, here)
    recipe = known or fresh
    steps = repaint(recipe, content, styles, device=device)
    for difference in recipe.differences(fresh):
        print(f"nst: {difference}; the result may differ", file=sys.stderr)
    show_bar = not options.json or sys.stderr.isatty()
    for step in steps:
        if options.json:
            print(json.dumps({name: getattr(step, name) for name in REPORTED}), flush=True)
        if show_bar:
            print_bar(step, sys.stderr)
    if show_bar:
        print(file=sys.stderr)
    picture = dial_colors(step.image, content, recipe.last_of(styles), recipe.colors)
    used = recipe.painted_again(fresh)
    with whole_file(output) as temporary:
        temporary.write_bytes(signed_png(picture, used))


def print_bar(step: TransferStep, stream: TextIO) -> None:
    """Redraw the progress bar of a `TransferStep` on one line."""
    filled = BAR_WIDTH * step.iteration // step.total
    bar = "█" * filled + "·" * (BAR_WIDTH - filled)
    text = (
        f"\r{bar} {step.iteration}/{step.total}  {step.width}×{step.height}"
        f"  J {step.J:.3g}  {step.remaining:.0f} s left "
    )
    print(text, end="", file=stream, flush=True)


def _load(load: Callable[[str], Loaded], path: str) -> Loaded:
    """What `load` makes of a file; its complaint names the file."""
    try:
        return load(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _flag(spec: dataclasses.Field[Any]) -> dict[str, Any]:
    option = spec.metadata["option"]
    if spec.name == "layer_weights":
        example = ",".join(f"{layer}=1" for layer in TransferSettings().layer_weights)
        return {
            "type": _layer_weights,
            "default": argparse.SUPPRESS,
            "metavar": "LAYER=λ,…",
            "help": f"{option.help} Layers not named are left out. (default: {example})",
        }
    if option.choices:
        hint = f"{option.help} (default: {spec.default})"
        return {"choices": tuple(option.choices), "default": argparse.SUPPRESS, "help": hint} | (
            {"metavar": "LAYER"} if tuple(option.choices) == tuple(LAYER_CHANNELS) else {}
        )
    hint = f"{option.help} ({option.low:g} to {option.high:g}, default: {spec.default:g})"
    return {"type": type(spec.default), "default": argparse.SUPPRESS, "metavar": "N", "help": hint}


def _layer_weights(text: str) -> dict[str, float]:
    try:
        return parse_layer_weights(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
