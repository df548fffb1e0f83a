"""The flags of a film's masks: those of pictures, on its first frame, and others on later ones."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from nst.errors import SettingsError
from nst.painting_flags import add_mask_flags, entries_of, files_given, read_mask, read_masks

if TYPE_CHECKING:
    from nst.video.mask_tracks import KeyMasks

Painted = tuple[int, list[str]]  # on a frame, from 0: files


def add_film_mask_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of masks, and of the frames that they were painted on."""
    add_mask_flags(parser)
    parser.add_argument(
        "--masks-at",
        type=_masks_at,
        action="append",
        default=[],
        metavar="FRAME=MASK.png,…",
        help="what --masks says, painted on another frame, counted from 1; masks follow the motion"
        " from there, forward and back, and between two such frames both have a share. Can be"
        " given several times",
    )
    parser.add_argument(
        "--keep-at",
        type=_keep_at,
        action="append",
        default=[],
        metavar="FRAME=MASK.png",
        help="the same of --keep",
    )


def mask_files(options: argparse.Namespace) -> list[str]:
    """Return the paths of all masks that were given."""
    later = [path for _, paths in (*options.masks_at, *options.keep_at) for path in paths]
    return [*files_given(options), *filter(None, later)]


def check_mask_flags(options: argparse.Namespace) -> None:
    """Raise `SettingsError` where a flag of masks would replace another one."""
    for name in ("masks", "keep"):
        frames = Counter(frame for frame, _ in getattr(options, f"{name}_at"))
        twice = next((frame for frame, count in frames.items() if count > 1), None)
        if twice is not None:
            raise SettingsError(f"--{name}-at is given twice for frame {twice + 1}; leave one out")
        if 0 in frames and getattr(options, name):
            raise SettingsError(
                f"--{name} is painted on frame 1; leave it out, or leave out --{name}-at 1=…"
            )


def read_key_masks(options: argparse.Namespace) -> KeyMasks:
    """Return the masks that were given, by their frames from 0.

    Raises `ImageError`, which names the file.
    """
    from nst.images.masks import Masks  # after --help

    keys: dict[int, Masks] = {}
    if first := read_masks(options):
        keys[0] = first
    regions, kept = dict[int, list[str]](options.masks_at), dict[int, list[str]](options.keep_at)
    for frame in {**regions, **kept}:
        known = keys.get(frame, Masks())
        masks = tuple(read_mask(path) if path else None for path in regions.get(frame, ()))
        keep = next(map(read_mask, kept.get(frame, ())), known.keep)
        keys[frame] = Masks(masks or known.regions, keep, known.within)
    return keys


def _masks_at(text: str) -> Painted:
    number, _, paths = text.partition("=")
    if not number.strip().isdecimal() or int(number) < 1 or not paths.strip(" ,"):
        raise argparse.ArgumentTypeError(f"{text!r} is not FRAME=MASK.png, with frames from 1")
    return int(number) - 1, entries_of(paths)


def _keep_at(text: str) -> Painted:
    frame, paths = _masks_at(text)
    if len(paths) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} names more than one mask")
    return frame, paths
