"""The command line for films: `python -m nst.video clip.mp4 painting.jpg -o out.mp4`."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nst.cluster_flags import add_cluster_flags, check_cluster_flags
from nst.console import CommandParser, StopRequest, load_named, run_command, until_stopped
from nst.errors import OutputError, SettingsError
from nst.outputs import check_output
from nst.painting_flags import (
    add_styles,
    add_use_flags,
    check_count,
    check_styles,
    painting_uses,
    read_values,
    uses_given,
)
from nst.setting_flags import (
    add_device_flag,
    add_flags_of,
    add_look_flag,
    flags_named,
    settings_given,
)
from nst.settings import LIVING_RATE, NO_WEIGHT, FilmSettings, TransferSettings
from nst.video.film_flags import (
    add_film_flags,
    checked_rate,
)
from nst.video.mask_flags import (
    add_film_mask_flags,
    check_mask_flags,
    mask_files,
    read_key_masks,
)

if TYPE_CHECKING:
    from PIL import Image

    from nst.vgg.network import VGG
    from nst.video.clips import Clip
    from nst.video.film_plan import FilmPlan
    from nst.video.forecast import FilmForecast, Progress
    from nst.video.frame_store import FrameStore
    from nst.video.transfer import FilmStep

ENDINGS = (".mp4", ".webm", ".gif", ".webp")
REPORTED = ("iteration", "total", "width", "height", "J", "content", "style", "layers", "elapsed")
ENDS = ("alpha", "beta", "style_weights")  # what can change over a film
NOT_OF_FILMS = ("edges", "init_weight")  # settings of patterns, and of a picture to start from
SHORTEST, LONGEST = 1.0, 30.0  # seconds of a living painting


def main(arguments: Sequence[str] | None = None) -> int:
    """Paint one film and return the exit status.

    0 when the film is written; 1 after a one-line reason on stderr; 130 after Ctrl-C (143 after
    SIGTERM). The first of these signals writes the frames that are done as a film, if there are
    any; a second one ends at once. In both cases the same command goes on where it was.
    """
    options = build_parser().parse_args(arguments)

    def paint(stop: StopRequest) -> int:
        return 0 if run(options, stop) else stop.status

    return until_stopped(paint, "nst video", "stopped; the same command goes on")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser: the flags of a picture, those of films, and where files come from."""
    parser = CommandParser(
        prog="python -m nst.video",
        description="Paint a clip in the manner of a painting, frame by frame and without flicker.",
        epilog="Ctrl-C once writes the frames that are done as a film and exits with 130. However a"
        " film was ended, the same command goes on from the last finished frame.",
    )
    parser.add_argument(
        "clip", metavar="CLIP", help="the clip: MP4, MOV, WebM, MKV, AVI, animated GIF or WebP, …"
    )
    add_styles(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.mp4",
        required=True,
        help="H.264 in an MP4, VP9 in a WebM, an animated GIF or WebP, or, without an ending, a"
        " folder for a PNG of each frame",
    )
    add_film_flags(parser)
    parser.add_argument(
        "--living",
        type=float,
        metavar="SECONDS",
        help="CLIP is a photo: it is painted, and its strokes flow, in a loop of so many seconds"
        f" without a seam ({SHORTEST:g} to {LONGEST:g}; {LIVING_RATE:g} frames a second, or --fps)",
    )
    for name in ENDS:
        parser.add_argument(
            f"--end-{name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            metavar="N" if name != "style_weights" else "W,…",
            help=f"what --{name.replace('_', '-')} has become at the end of the clip (default: it"
            " stays)",
        )
    parser.add_argument(
        "--settings",
        metavar="FILM|PICTURE|FILE.json",
        help="a film or picture made here, whose settings are taken, or a JSON object of settings;"
        " a look and other flags come on top",
    )
    add_look_flag(parser)
    add_flags_of(parser, FilmSettings)
    add_flags_of(parser, TransferSettings, without=NOT_OF_FILMS)
    add_use_flags(parser)
    add_film_mask_flags(parser)
    add_device_flag(parser)
    add_cluster_flags(
        parser,
        work="paint the scenes of the clip at the same time",
        jobs="scenes that are painted at the same time",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per iteration on stdout"
    )
    return parser


def run(options: argparse.Namespace, stop: StopRequest) -> bool:
    """Paint the film that the options ask for, or until the stop request; tell whether it is whole.

    A request that comes while a film with all its frames is written stops nothing.
    """
    settings, film = checked_settings(options)
    output = Path(options.output)

    from nst.engine.devices import load_network  # after --help: torch takes seconds
    from nst.video.film_files import check_kind, check_room, write_film

    plan = _plan(options, settings, film)
    check_room(plan.clip)
    check_kind(plan.clip, output, has_sound=not options.no_sound)
    plan.check_masks()
    network = load_network(settings, "cpu" if options.ray else options.device)
    with _store(plan, output, options) as store:
        output_of_steps = sys.stdout
        with _painting(plan, network, store, options) as painting:
            _paint(painting, plan.clip, store, options, stop, output_of_steps)
        if not store.count:
            _say_why_nothing_was_written(store)
            return False
        is_whole = not stop.is_made
        ends = {name: getattr(options, name) for name in vars(options) if name.startswith("end_")}
        recipe = plan.recipe(painting.device, ends)
        has_sound = not options.no_sound
        write_film(output, plan, store, recipe=recipe, has_sound=has_sound, is_whole=is_whole)
        stop.ignore()  # it is written, and what is said must be true
        if is_whole:
            store.delete()
        else:
            print(
                f"nst video: stopped after {store.count} frames, which are in {output}; the same"
                " command goes on",
                file=sys.stderr,
            )
    return is_whole


def _say_why_nothing_was_written(store: FrameStore) -> None:
    """Tell on stderr that a film was stopped that has no beginning yet."""
    kept = "nothing was written"
    if store.painted:  # on a cluster scenes are painted at the same time
        kept = "frames of later scenes are kept, and the same command goes on"
    print(f"nst video: stopped before the first frame was done; {kept}", file=sys.stderr)


def checked_settings(options: argparse.Namespace) -> tuple[TransferSettings, FilmSettings]:
    """Return the settings that were given.

    Raises what can be said of the arguments before anything is read.
    """
    output = Path(options.output)
    sources = [options.clip, *options.styles, *mask_files(options)]
    if output.suffix:
        if output.suffix.lower() not in ENDINGS:
            raise OutputError(
                f"the output must be a {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]} file, not"
                f" {output.name!r}; a folder for PNGs has no ending"
            )
        check_output(output, ENDINGS, sources)
    else:
        _check_folder(output)
    checked_rate(options.fps)
    check_cluster_flags(options)
    check_mask_flags(options)
    check_styles(options.styles)
    if options.living is not None:
        _check_living(options)
    return chosen_settings(options)


def _check_living(options: argparse.Namespace) -> None:
    """Raise `SettingsError` for what cannot be said of a living painting."""
    if not SHORTEST <= options.living <= LONGEST:
        raise SettingsError(
            f"--living must be from {SHORTEST:g} to {LONGEST:g} seconds, not {options.living:g}"
        )
    if options.ray:
        raise SettingsError("a living painting is one scene; leave out --ray")
    changing = [*filter(options.__contains__, (f"end_{name}" for name in ENDS))]
    changing += [name for name in ("masks_at", "keep_at") if getattr(options, name)]
    if changing:
        flag = f"--{changing[0].replace('_', '-')}"
        raise SettingsError(f"with --living there is one photo; leave out {flag}")


def chosen_settings(options: argparse.Namespace) -> tuple[TransferSettings, FilmSettings]:
    """Return the settings of the file and of the look, if they are given, with the flags on top.

    What the file says of the end of a film becomes the flags that are not given. Raises `UserError`
    for values out of range and files that cannot be read.
    """
    settings, film = TransferSettings(), FilmSettings()
    if options.settings:
        from nst.video.film_recipe import read_settings  # after --help

        known = read_settings(options.settings)
        settings, film = known.settings.replace(edges=TransferSettings().edges), known.film
        for name, text in known.ends.items():
            if name not in options and options.living is None:
                setattr(options, name, text)
    if options.look:
        settings = settings.replace(**options.look.changes)
    if uses_given(options) or len(settings.paintings) > len(options.styles):
        settings = settings.replace(paintings=painting_uses(options, len(options.styles)))
    given = settings_given(options, FilmSettings)
    with flags_named():
        return settings.replace(**settings_given(options)), replace(film, **given)


def _check_folder(output: Path) -> None:
    """Raise `OutputError` where the pictures of a film cannot be in that folder.

    It may hold those of a film that was stopped.
    """
    from nst.video.frame_store import store_folder  # after --help

    if output.is_dir() and any(output.iterdir()) and not store_folder(output).is_dir():
        raise OutputError(f"the folder {str(output)!r} is not empty; choose another name")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{str(output)!r} is a file; choose another name")
    if not output.resolve().parent.is_dir():
        raise OutputError(f"there is no folder {str(output.parent)!r} to write to")


def end_settings(options: argparse.Namespace, begin: TransferSettings) -> TransferSettings:
    """Return the settings that a film ends with; raises `SettingsError` for odd values."""
    given = {name: getattr(options, f"end_{name}") for name in ENDS if f"end_{name}" in options}
    weights = given.pop("style_weights", "")
    try:
        numbers = {name: float(text) for name, text in given.items()}
        last = read_values("style_weights", weights)
    except ValueError:
        raise SettingsError("the values of --end-… must be numbers") from None
    check_count("--end-style-weights", len(last), len(options.styles))
    uses = list(begin.uses(len(options.styles)))
    uses[: len(last)] = [replace(use, **said) for use, said in zip(uses, last, strict=False)]
    if not any(use.weight for use in uses):
        raise SettingsError(NO_WEIGHT)
    return begin.replace(**numbers, paintings=tuple(uses))


def _plan(options: argparse.Namespace, settings: TransferSettings, film: FilmSettings) -> FilmPlan:
    """Return the film that the options ask for, its clip and pictures opened."""
    from nst import load_image
    from nst.video.clips import Clip
    from nst.video.film_plan import FilmPlan
    from nst.video.living import StillClip

    def load(path: str) -> Image.Image:
        return load_named(load_image, path)

    source = (Path(options.clip), settings.size, options.fps)
    return FilmPlan(
        StillClip(*source, seconds=options.living) if options.living else Clip(*source),
        [load(path) for path in options.styles],
        settings,
        film,
        end_settings(options, settings),
        read_key_masks(options),
        options.protect_faces,
    )


def _store(plan: FilmPlan, output: Path, options: argparse.Namespace) -> FrameStore:
    """Return where the finished frames are kept."""
    from nst.video.frame_store import FrameStore
    from nst.video.scene_store import SceneStore

    return (SceneStore if options.ray else FrameStore)(output, plan.key)


@dataclass(frozen=True)
class _Painting:
    """A film that is being painted: its steps, the time that is left, and by which device."""

    steps: Iterable[FilmStep]
    progress: Progress
    device: str


@contextlib.contextmanager
def _painting(
    plan: FilmPlan, network: VGG, store: FrameStore, options: argparse.Namespace
) -> Iterator[_Painting]:
    """Yield a film that is painted here, or on a cluster."""
    frames = plan.clip.facts.frames
    if options.ray:
        from nst.video.ray_scenes import SceneCluster, SceneProgress

        with SceneCluster(options.ray, options.jobs, options.device, plan) as cluster:
            steps = cluster.paint(network, store.load)
            yield _Painting(steps, SceneProgress(frames, store), cluster.kind_of_device)
        return
    from nst.engine.devices import pick_device
    from nst.video.forecast import FilmProgress

    expected = plan.forecast(network)
    _announce(plan.clip, expected, store.count)
    steps = plan.paint(network, store.load)
    yield _Painting(steps, FilmProgress(frames, expected), str(pick_device(options.device)))


def _announce(clip: Clip, expected: FilmForecast, done: int) -> None:
    """Tell on stderr how long the film will take, as far as that is known."""
    frames, size = clip.facts.frames, f"{clip.facts.width}×{clip.facts.height}"
    if not frames:
        print(f"nst video: about {expected.following:.1f} s a frame of {size}", file=sys.stderr)
        return
    painted = f", {done} of them are painted" if done else ""
    seconds = expected.seconds(frames - done, scenes=0 if done else 1)
    print(
        f"nst video: {frames} frames of {size}{painted}; about {duration_text(seconds)}",
        file=sys.stderr,
    )


def duration_text(seconds: float) -> str:
    """Return seconds as a person says them: "40 seconds", "12 minutes", "3.5 hours"."""
    if seconds < 90:
        return "1 second" if seconds < 1.5 else f"{round(seconds)} seconds"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def _paint(
    painting: _Painting,
    clip: Clip,
    store: FrameStore,
    options: argparse.Namespace,
    stop: StopRequest,
    output: TextIO,
) -> None:
    """Report the steps and store the finished frames until they end or a stop is requested."""
    show_bar = not options.json or sys.stderr.isatty()
    bar, progress = FrameBar(sys.stderr, clip.facts.frames), painting.progress
    for step in painting.steps:
        stop.defer()
        remaining = progress.remaining(step)
        if step.is_finished:
            store.save(step.frame, step.image)
        if options.json:
            print(json.dumps(reported(step, clip, remaining)), file=output, flush=True)
        if show_bar:
            bar.show(step, progress.done, remaining)
        if stop.is_made:
            break
    bar.close()


def reported(step: FilmStep, clip: Clip, remaining: float | None) -> dict[str, Any]:
    """Return a step as JSON shows it; what is not known is null."""
    figures = {name: getattr(step.step, name) for name in REPORTED}
    costs = {n: None if isinstance(v, float) and math.isnan(v) else v for n, v in figures.items()}
    return {
        "frame": step.frame + 1,
        "frames": clip.facts.frames,
        "scene": step.scene + 1,
        "finished": step.is_finished,
        **costs,
        "temporal": step.temporal,
        "seen": round(step.seen, 4),
        "remaining": remaining and round(remaining, 1),
    }


class FrameBar:
    """Show how far a film is, on one line as wide as the terminal."""

    def __init__(self, stream: TextIO, frames: int) -> None:
        self._stream, self._frames = stream, frames
        self._bar: Any = None  # tqdm is untyped

    def show(self, step: FilmStep, done: int, remaining: float | None) -> None:
        """Redraw the line as it is after a step, with so many frames done and seconds left."""
        if self._bar is None:
            from tqdm import tqdm  # after --help

            self._bar = tqdm(
                total=self._frames or None,
                file=self._stream,
                bar_format="{bar} {n_fmt}/{total_fmt} frames{postfix}",
                dynamic_ncols=True,
            )
        left = f", {duration_text(remaining)} left" if remaining else ""
        iteration = f"iteration {step.step.iteration}/{step.step.total}"
        self._bar.set_postfix_str(f"{iteration}{left}", refresh=False)
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar.close()


def command(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m nst.video`; return the exit status."""
    return run_command(lambda: main(arguments), "nst video")


if __name__ == "__main__":
    sys.exit(command())
