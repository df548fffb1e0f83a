"""The flags that say how each painting is used, where it rules, and what a run starts from.

Values and files for several paintings are separated by commas, in the order of the paintings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nst.console import load_named
from nst.errors import SettingsError
from nst.settings import MOST_STYLES, NO_WEIGHT, PaintingUse, options, parse_layers

if TYPE_CHECKING:
    from nst.images.masks import Mask, Masks

EACH = "One for each painting, separated by commas; an empty one is as usual."
MASK = "a grey picture of the photo's shape (transparent counts as black), white"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text == "yes"


def _sides(text: str) -> tuple[float, ...]:
    sides = tuple(map(_number, text.split(":")))
    if len(sides) != 4:
        raise ValueError(f"{text!r} is not LEFT:TOP:RIGHT:BOTTOM")
    return sides


USES: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "style_weights": ("weight", _number, "W,…"),
    "style_strengths": ("strength", _number, "S,…"),
    "style_layers": ("layers", parse_layers, "LAYER+LAYER,…"),
    "style_scales": ("scale", _number, "S,…"),
    "style_rotation": ("rotation", _number, "DEGREES,…"),
    "style_mirror": ("mirror", _yes_or_no, "yes|no,…"),
    "style_crop": ("crop", _sides, "LEFT:TOP:RIGHT:BOTTOM,…"),
}
"""Flags by name: the field of `PaintingUse`, how a value is read, and what stands for it."""


def add_styles(parser: argparse.ArgumentParser) -> None:
    """Add the paintings, one or several."""
    parser.add_argument(
        "styles",
        metavar="STYLE",
        nargs="+",
        help=f"the painting, or several (at most {MOST_STYLES})",
    )


def check_styles(styles: Sequence[str]) -> None:
    """Raise `SettingsError` for more paintings than can be used."""
    if len(styles) > MOST_STYLES:
        raise SettingsError(f"at most {MOST_STYLES} paintings can be used, not {len(styles)}")


def add_use_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each field of `PaintingUse` that is named in `USES`."""
    for name, (field, parse, metavar) in USES.items():
        parser.add_argument(
            _flag(name),
            type=_values_of(parse),
            default=argparse.SUPPRESS,
            metavar=metavar,
            help=_help(field),
        )


def add_mask_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of masks."""
    parser.add_argument(
        "--masks",
        type=entries_of,
        metavar="MASK.png,…",
        help=f"{MASK} where that painting rules; one for each painting, separated by commas. One"
        " without a mask, an empty entry, rules where the others leave room; those with the same"
        " mask blend there",
    )
    parser.add_argument(
        "--keep",
        metavar="MASK.png",
        help=f"{MASK} where the photo is left as it is",
    )
    parser.add_argument(
        "--within",
        type=entries_of,
        metavar="MASK.png,…",
        help="a grey picture of the painting's shape (transparent counts as black), white in the"
        " part that is taken; one for each painting, separated by commas, or an empty entry for all"
        " of it",
    )
    parser.add_argument(
        "--protect-faces",
        action="store_true",
        help="leave faces as they are; they are found in each photo, and on each frame of a clip;"
        " needs `pip install nst[masks]`",
    )


def add_init_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag of a picture to start from."""
    parser.add_argument(
        "--init",
        metavar="PICTURE",
        help="a picture to start from instead of what --start says; it fills the photo's frame",
    )


def uses_given(given: argparse.Namespace) -> list[str]:
    """Return the names of the flags in `USES` that were given."""
    return [name for name in USES if name in given]


def painting_uses(given: argparse.Namespace, n_paintings: int) -> tuple[PaintingUse, ...]:
    """Return how each painting is used.

    Raises `SettingsError` for values out of range, more of them than paintings, and weights that
    are all 0.
    """
    changes: list[dict[str, Any]] = [{} for _ in range(n_paintings)]
    for name in uses_given(given):
        field, parse, _ = USES[name]
        values = getattr(given, name)
        check_count(_flag(name), len(values), n_paintings)
        for change, value in zip(changes, values, strict=False):
            if value:
                change[field] = parse(value)
    uses = tuple(PaintingUse(**change) for change in changes)
    if not any(use.weight for use in uses):
        raise SettingsError(NO_WEIGHT)
    return uses


def check_count(flag: str, n_values: int, n_paintings: int) -> None:
    """Raise `SettingsError` where a flag has more values than there are paintings."""
    if n_values > n_paintings:
        counted = "one painting" if n_paintings == 1 else f"{n_paintings} paintings"
        raise SettingsError(f"{flag} has {n_values} values for {counted}")


def read_values(name: str, text: str) -> list[dict[str, Any]]:
    """Return what a flag's text says of each painting, as fields of `PaintingUse`.

    Raises `SettingsError`.
    """
    field, parse, _ = USES[name]
    said: list[dict[str, Any]] = []
    for entry in entries_of(text) if text.strip() else []:
        try:
            said.append({field: parse(entry)} if entry else {})
        except ValueError:
            raise SettingsError(f"{name} cannot be {entry[:40]!r}") from None
    return said


def files_given(given: argparse.Namespace) -> list[str]:
    """Return the paths of all masks, and of the picture to start from where there may be one."""
    init = getattr(given, "init", None)
    paths = [*(given.masks or ()), given.keep, *(given.within or ()), init]
    return list(filter(None, paths))


def read_mask(path: str) -> Mask:
    """Return the mask in a file. Raises `ImageError`, which names the file."""
    from nst.images.masks import load_mask  # after --help

    return load_named(load_mask, path)


def read_masks(given: argparse.Namespace) -> Masks:
    """Return the masks that were given. Raises `ImageError`, which names the file."""
    from nst.images.masks import Masks  # after --help

    def read(paths: Sequence[str] | None) -> tuple[Mask | None, ...]:
        return tuple(read_mask(path) if path else None for path in paths or ())

    keep = read_mask(given.keep) if given.keep else None
    return Masks(read(given.masks), keep, read(given.within))


def _help(field: str) -> str:
    option, default = options(PaintingUse)[field], getattr(PaintingUse(), field)
    hint = f"{option.help} {EACH}"
    if option.low is None:
        return hint
    return f"{hint} ({option.low:g} to {option.high:g}, default: {default:g})"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def entries_of(text: str) -> list[str]:
    """Return what a flag says of each painting: texts between commas."""
    return [entry.strip() for entry in text.split(",")]


def _values_of(parse: Callable[[str], Any]) -> Callable[[str], list[str]]:
    """Return a type for argparse: texts between commas, each of which can be read or is empty."""

    def values(text: str) -> list[str]:
        entries = entries_of(text)
        for entry in filter(None, entries):
            try:
                parse(entry)
            except ValueError as error:
                raise argparse.ArgumentTypeError(str(error)) from None
        return entries

    return values
