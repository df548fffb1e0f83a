"""The flags of the settings of a run, of its file and of its device, for every command that paints.

Flags, defaults and ranges come from `TransferSettings`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Container, Iterator
from functools import partial
from typing import Any

from nst.errors import SettingsError
from nst.looks import LOOKS, Look
from nst.painting_flags import add_init_flag, add_mask_flags, add_use_flags
from nst.settings import (
    LAYER_CHANNELS,
    FilmSettings,
    TransferSettings,
    options,
    parse_weights,
    weights_example,
    weights_text,
)

ALIASES = {"style_costs": ["--style-loss"]}

Kind = type[TransferSettings] | type[FilmSettings]


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a run and of its paintings; none has a default."""
    add_flags_of(parser, TransferSettings)
    parser.add_argument(
        "--seamless",
        dest="edges",
        action="store_const",
        const="seamless",
        default=argparse.SUPPRESS,
        help="the same as --edges seamless",
    )
    add_use_flags(parser)
    add_mask_flags(parser)
    add_init_flag(parser)


def add_flags_of(
    parser: argparse.ArgumentParser, kind: Kind, *, without: Container[str] = ()
) -> None:
    """Add a flag for each setting of a kind, `without` some by name; none has a default."""
    for spec in dataclasses.fields(kind):
        if "option" in spec.metadata and spec.name not in without:
            names = [f"--{spec.name.replace('_', '-')}", *ALIASES.get(spec.name, ())]
            parser.add_argument(*names, **setting_flag(spec))


def add_file_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of what a file holds of a finished picture: `depth` and `keep_alpha`."""
    parser.add_argument(
        "--depth",
        type=int,
        choices=(8, 16),
        default=8,
        help="bits per channel; 16 for a PNG or TIFF, without the bands that 8 may show in skies"
        " (default: 8)",
    )
    parser.add_argument(
        "--keep-alpha",
        action="store_true",
        help="keep the photo's transparency, in a PNG, TIFF or WebP; the photo is painted as if it"
        " went on underneath (default: it is laid on white)",
    )


def add_look_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag of a look, `LOOKS` by name."""
    parser.add_argument(
        "--look",
        type=_look,
        metavar="NAME",
        help=f"settings that go together: {', '.join(LOOKS)}; other flags come on top",
    )


def _look(text: str) -> Look:
    """Return a look by its name, in capitals or not; words may be joined by hyphens."""
    by_name = {name.lower().replace(" ", "-"): look for name, look in LOOKS.items()}
    look = by_name.get(text.strip().lower().replace(" ", "-"))
    if look is None:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(LOOKS)}")
    return look


def add_device_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag of the device to compute on."""
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda", "mps", "xpu"),
        help="where to compute (default: auto, the best there is; an Intel GPU, xpu, has to be"
        " named)",
    )


def settings_given(options: argparse.Namespace, kind: Kind = TransferSettings) -> dict[str, Any]:
    """Return the values of the settings whose flags were given, by name; not those of paintings."""
    names = {spec.name for spec in dataclasses.fields(kind)}
    return {name: value for name, value in vars(options).items() if name in names}


@contextlib.contextmanager
def flags_named() -> Iterator[None]:
    """Have errors about settings name the flag: their sentences begin with the setting's name."""
    try:
        yield
    except SettingsError as error:
        name, _, rest = str(error).partition(" ")
        if name not in options() | options(FilmSettings):
            raise
        flag = ALIASES.get(name, [f"--{name.replace('_', '-')}"])[0]
        raise SettingsError(f"{flag} {rest}") from None


def _default(spec: dataclasses.Field[Any]) -> Any:
    make = spec.default_factory
    return spec.default if make is dataclasses.MISSING else make()


def setting_flag(spec: dataclasses.Field[Any]) -> dict[str, Any]:
    """Return the keyword arguments of a setting's flag, for argparse."""
    option = spec.metadata["option"]
    if option.keys:
        usual = weights_text(_default(spec)) or "none"
        names = "" if option.keys == tuple(LAYER_CHANNELS) else f" ({', '.join(option.keys)})"
        return {
            "type": partial(_weights, example=weights_example(option)),
            "default": argparse.SUPPRESS,
            "metavar": "LAYER=λ,…" if spec.name == "layer_weights" else "NAME=N,…",
            "help": f"{option.help} What is not named{names} is left out. (default: {usual})",
        }
    if option.choices:
        hint = f"{option.help} (default: {spec.default})"
        return {"choices": tuple(option.choices), "default": argparse.SUPPRESS, "help": hint} | (
            {"metavar": "LAYER"} if tuple(option.choices) == tuple(LAYER_CHANNELS) else {}
        )
    hint = f"{option.help} ({option.low:g} to {option.high:g}, default: {spec.default:g})"
    return {"type": type(spec.default), "default": argparse.SUPPRESS, "metavar": "N", "help": hint}


def _weights(text: str, example: str) -> dict[str, float]:
    try:
        return parse_weights(text, example)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
