"""The flags of settings: one for each that has an `Option`, with its default and its range."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from typing import Any

from nst.settings import (
    LAYER_CHANNELS,
    FilmSettings,
    TransferSettings,
    parse_weights,
    weights_example,
    weights_text,
)

ALIASES = {"style_costs": ["--style-loss"]}

Kind = type[TransferSettings] | type[FilmSettings]


def add_setting_flags(parser: argparse.ArgumentParser, kind: Kind = TransferSettings) -> None:
    """Add a flag for each setting of a kind; one that is not given is missing in the result."""
    for spec in dataclasses.fields(kind):
        if "option" in spec.metadata:
            names = [f"--{spec.name.replace('_', '-')}", *ALIASES.get(spec.name, ())]
            parser.add_argument(*names, **setting_flag(spec))


def settings_given(given: argparse.Namespace, kind: Kind = TransferSettings) -> dict[str, Any]:
    """Return the settings of a kind whose flags were given, by name."""
    names = {spec.name for spec in dataclasses.fields(kind)}
    return {name: value for name, value in vars(given).items() if name in names}


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
