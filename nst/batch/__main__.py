"""The command line of batches: `python -m nst.batch photos --styles paintings -o OUT`.

Knows arguments and terminals only.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nst.batch.plan import PAIRS
from nst.console import CommandParser, StopRequest, run_command, until_stopped
from nst.errors import ImageError, SettingsError, UserError
from nst.outputs import FORMATS, check_format
from nst.painting_flags import painting_uses, uses_given
from nst.setting_flags import (
    add_device_flag,
    add_file_flags,
    add_flags_of,
    add_setting_flags,
    flags_named,
    settings_given,
)
from nst.settings import FilmSettings, TransferSettings
from nst.video.film_flags import add_film_flags, checked_rate

if TYPE_CHECKING:
    from nst.batch.films import FilmPainter
    from nst.batch.messages import Controls
    from nst.batch.output_folder import OutputFolder
    from nst.batch.plan import Item, Manner
    from nst.batch.pool import Pool
    from nst.batch.runner import Runner
    from nst.batch.tally import Tally

MOST_JOBS = 64
LEAST_HOURS, MOST_HOURS = 0.05, 72
RENTAL_FLAGS = ("hf_bucket", "hf_hours", "hf_image", "yes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a batch and return the exit status.

    0 when every picture is there; 1 where one is not, after a line on stderr for each reason; 130
    after Ctrl-C (143 after SIGTERM). What is finished is kept then, and the same command goes on.
    """
    options = build_parser().parse_args(arguments)

    def paint(stop: StopRequest) -> int:
        tally = run(options, stop)
        if not stop.is_made:
            return 1 if tally.missing else 0
        left = f"{tally.missing} of {tally.total} pictures are missing"
        print(f"nst: stopped; {left}, the same command goes on", file=sys.stderr)
        return stop.status

    return until_stopped(paint, "nst", "stopped; what is finished is kept")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser: inputs, output, workers, and the flags of the single command."""
    parser = CommandParser(
        prog="python -m nst.batch",
        description="Paint photos in the manner of paintings: each after each, into a folder."
        " Started again it paints only what is missing or has changed.",
        epilog="Ctrl-C once ends it; what is finished is kept. Machines rented by --hf-jobs go"
        " on, and their ids are printed. A photo called batch is written ./batch for `nst`.",
    )
    parser.add_argument(
        "photos",
        metavar="PHOTO|CLIP|FOLDER",
        nargs="+",
        help="photos and clips, or folders of them (their own folders are left out); a clip becomes"
        " a film",
    )
    parser.add_argument(
        "--styles",
        metavar="PAINTING|FOLDER",
        nargs="+",
        required=True,
        help="the same of paintings",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="the folder to write to; it is made if it is not there. Pictures are called"
        " PHOTO--PAINTING.png, and manifest.jsonl tells of each",
    )
    parser.add_argument(
        "--settings",
        metavar="PICTURE|FILE.json",
        help="a picture or film made here, whose settings are taken, or a JSON object of settings;"
        " flags come on top",
    )
    parser.add_argument(
        "--pairs",
        choices=PAIRS,
        default="all",
        help="each photo after each painting, or the first after the first, … (default: all)",
    )
    parser.add_argument(
        "--format",
        choices=[suffix[1:] for suffix in FORMATS],
        default="png",
        help="of the pictures (default: png)",
    )
    parser.add_argument(
        "--jobs",
        type=_jobs,
        metavar="N",
        help="pictures that are painted at the same time, by processes that divide the processor's"
        " threads (default: 1; with --ray one on each GPU, or on each node). With --hf-jobs the"
        " number of machines",
    )
    elsewhere = parser.add_mutually_exclusive_group()
    elsewhere.add_argument(
        "--ray",
        metavar="auto|ADDRESS",
        help="paint on a Ray cluster: that of the address, or one that runs or is started here;"
        " needs `pip install nst[ray]`",
    )
    elsewhere.add_argument(
        "--hf-jobs",
        metavar="FLAVOR",
        help="paint on machines rented from the Hugging Face Hub, such as l4x1; prices are told,"
        " and a yes is needed",
    )
    _add_rental_flags(parser)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per event on stdout"
    )
    add_setting_flags(parser)
    add_file_flags(parser)
    add_film_flags(parser)
    add_flags_of(parser, FilmSettings)
    add_device_flag(parser)
    return parser


def _add_rental_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hf-bucket",
        metavar="OWNER/NAME",
        default="",
        help="with --hf-jobs: the private bucket that holds photos and results (default: your"
        " nst-batches)",
    )
    parser.add_argument(
        "--hf-hours",
        type=_hours,
        metavar="N",
        help="with --hf-jobs: how long each job may run (default: 2); the same command goes on",
    )
    parser.add_argument(
        "--hf-image",
        metavar="IMAGE",
        default="",
        help="with --hf-jobs: a Docker image with Python; one that has torch starts sooner"
        " (default: python:3.X-slim, in the version that runs here)",
    )
    parser.add_argument("--yes", action="store_true", help="agree to the price without being asked")


def run(options: argparse.Namespace, stop: StopRequest) -> Tally:
    """Paint as the options ask, or until the stop request; return what became of the pictures.

    Raises `UserError` for what ends the whole batch.
    """
    check_rental_flags(options)
    settings, film = chosen_settings(options)
    check_format(f"picture.{options.format}", options.depth, keep_alpha=options.keep_alpha)

    from nst.batch.output_folder import OutputFolder  # after --help
    from nst.batch.reporting import pick_reporter
    from nst.batch.runner import Runner

    items, manner = planned(options, settings, film)
    reporter = pick_reporter(as_json=options.json)
    sources = [*options.photos, *options.styles]
    with OutputFolder(Path(options.output), sources) as folder:
        runner = Runner(folder, manner, reporter)
        try:
            tally = runner.find_missing(items)
            if any(item.is_film for item in items):
                from nst.batch.films import delete_leftovers

                delete_leftovers(items, folder)
            if not runner.is_over:
                paint(options, runner, folder, len(items), stop)
            reporter.end(tally)
        finally:
            reporter.close()
    return tally


def check_rental_flags(options: argparse.Namespace) -> None:
    """Raise `SettingsError` for a flag about rented machines where none are asked for."""
    for name in RENTAL_FLAGS:
        if getattr(options, name) and not options.hf_jobs:
            raise SettingsError(
                f"--{name.replace('_', '-')} needs --hf-jobs; leave it out, or both"
            )


def paint(
    options: argparse.Namespace,
    runner: Runner,
    folder: OutputFolder,
    n_items: int,
    stop: StopRequest,
) -> None:
    """Paint what is missing, here or elsewhere: pictures, and then films. Raises `UserError`."""
    if options.hf_jobs:
        paint_on_rented_machines(options, runner, stop)
        return
    films = runner.claim(lambda item: item.is_film)
    stop.defer()
    if not runner.is_over:
        with start_pool(options, n_items) as pool:
            runner.run(pool, stop)
    if films and not stop.is_made:
        from nst.batch.films import paint_films

        paint_films(films, film_painter(options, folder.path, runner.manner), runner, stop)


def paint_on_rented_machines(
    options: argparse.Namespace, runner: Runner, stop: StopRequest
) -> None:
    """Paint what is missing by jobs on the Hub. Raises `UserError`."""
    from nst.batch.hf_jobs import UNASKED, Rental, RentedBatch, open_hub

    def agree() -> bool:
        if options.yes:
            return True
        if not sys.stdin.isatty():
            raise UserError(UNASKED)
        return runner.report.confirm("Rent them?")

    rental = Rental(
        options.hf_jobs,
        options.jobs or 1,
        options.hf_hours or Rental.hours,
        options.hf_bucket,
        options.hf_image,
        options.device,
    )
    RentedBatch(runner, open_hub(), rental, agree).run(stop)


def planned(
    options: argparse.Namespace, settings: TransferSettings, film: FilmSettings
) -> tuple[list[Item], Manner]:
    """Return the pictures of the batch, and how they are painted. Raises `UserError`."""
    from nst.batch.inputs import find_pictures
    from nst.batch.messages import FileFormat, FilmFormat
    from nst.batch.plan import Manner, pair_up, plan_items

    photos = find_pictures(options.photos, clips=True)
    paintings = find_pictures(options.styles)
    pairs = pair_up(photos, paintings, options.pairs)
    format = FileFormat(f".{options.format}", options.depth, options.keep_alpha)
    films = FilmFormat(film, checked_rate(options.fps), not options.no_sound)
    manner = Manner(settings, format, controls_given(options), films, options.protect_faces)
    if manner.protect_faces:
        from nst.images.faces import check_detector  # after --help

        check_detector()
    items = plan_items(pairs, manner)
    if any(item.is_film for item in items):
        from nst.batch.films import check_films  # after --help

        check_films(manner)
    return items, manner


def start_pool(options: argparse.Namespace, n_items: int) -> Pool:
    """Return the workers that were asked for, on this machine no more than there are pictures."""
    if options.ray:
        from nst.batch.ray_pool import RayPool

        return RayPool(options.ray, options.jobs, options.device)
    from nst.batch.local_pool import LocalPool

    return LocalPool(min(options.jobs or 1, n_items), options.device)


def film_painter(options: argparse.Namespace, folder: Path, manner: Manner) -> FilmPainter:
    """Return what paints the films: this process, or the cluster that was asked for."""
    from nst.batch.films import ClusterFilmPainter, FilmPainter

    if options.ray:
        return ClusterFilmPainter(folder, manner, options.device, options.ray, options.jobs)
    return FilmPainter(folder, manner, options.device)


def chosen_settings(options: argparse.Namespace) -> tuple[TransferSettings, FilmSettings]:
    """Return the settings of the file, if one is given, with those of the flags on top.

    Where several paintings blend in the file's picture, what is said of each is left out: here each
    picture has one. Raises `UserError` for values out of range and files that cannot be read.
    """
    settings, film = TransferSettings(), FilmSettings()
    if options.settings:
        from nst.video.film_recipe import read_settings  # after --help

        known = read_settings(options.settings)
        settings, film = known.settings, known.film
        if len(settings.paintings) > 1:
            settings = settings.replace(paintings=())
    if uses_given(options):
        settings = settings.replace(paintings=painting_uses(options, 1))
    with flags_named():
        film = dataclasses.replace(film, **settings_given(options, FilmSettings))
        return settings.replace(**settings_given(options)), film


def controls_given(options: argparse.Namespace) -> Controls:
    """Return the masks and the start that were given, as bytes. Raises `UserError`."""
    from nst.batch.messages import Controls

    def read(name: str, paths: Sequence[str] | None) -> bytes | None:
        given = list(filter(None, paths or ()))
        if len(given) > 1:
            raise SettingsError(f"--{name} has {len(given)} files for one painting")
        return _bytes_of(given[0]) if given else None

    names = {spec.name for spec in dataclasses.fields(Controls)} - {"mask"}
    values = {"masks": options.masks} | {
        name: [given] if isinstance(given := getattr(options, name), str) else given
        for name in names
    }
    read_values = {name: read(name, paths) for name, paths in values.items()}
    return Controls(mask=read_values.pop("masks"), **read_values)


def _bytes_of(path: str) -> bytes:
    """Return the bytes of a picture that can be opened. Raises `ImageError`, with its name."""
    from nst.images.reading import load_image

    try:
        data = Path(path).read_bytes()
        load_image(data)
    except OSError as error:
        raise ImageError(f"{path}: it cannot be read: {error.strerror or error}") from None
    except UserError as error:
        raise ImageError(f"{path}: {error}") from None
    return data


def _jobs(text: str) -> int:
    try:
        jobs = int(text)
    except ValueError:
        jobs = 0
    if not 1 <= jobs <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_JOBS}")
    return jobs


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not LEAST_HOURS <= hours <= MOST_HOURS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of hours from {LEAST_HOURS} to {MOST_HOURS}"
        )
    return hours


if __name__ == "__main__":
    sys.exit(run_command(functools.partial(main, None), "nst"))
