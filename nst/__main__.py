"""The command line: `python -m nst photo.jpg painting.jpg -o out.png`.

Flags, defaults and ranges come from `TransferSettings`. Knows arguments and terminals only.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nst.cluster_flags import add_cluster_flags, check_cluster_flags
from nst.console import CommandParser, StopRequest, load_named, run_command, until_stopped
from nst.errors import RecipeError, SettingsError, WorkerError
from nst.outputs import FORMATS, check_format, check_output, check_space
from nst.painting_flags import (
    add_styles,
    check_styles,
    files_given,
    painting_uses,
    read_masks,
    uses_given,
)
from nst.setting_flags import (
    add_device_flag,
    add_file_flags,
    add_setting_flags,
    flags_named,
    settings_given,
)
from nst.settings import TransferSettings
from nst.settings import options as setting_options

if TYPE_CHECKING:
    from PIL import Image

    from nst import Masks, TransferStep
    from nst.engine.tile_map import TileMap
    from nst.engine.transfer import Engine
    from nst.images.recipe import Recipe
    from nst.studio.backends.local import LocalBackend

REPORTED = (
    *("iteration", "total", "width", "height"),
    *("J", "content", "style", "smoothness", "layers", "elapsed"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one transfer and return the exit status.

    0 when the picture is written; 1 after a one-line reason on stderr; 130 after Ctrl-C (143 after
    SIGTERM). Once there is a picture, the first of these signals lets the present iteration end and
    writes the picture so far, whole, with the number of iterations done in its recipe. A second
    one, or one before there is a picture, ends at once, and nothing is written.
    """
    options = build_parser().parse_args(arguments)

    def paint(stop: StopRequest) -> int:
        run(options, stop)
        return stop.status if stop.is_made else 0

    return until_stopped(paint, "nst", "stopped, nothing was written")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser: one flag for each setting, and where files come from and go to."""
    parser = CommandParser(
        prog="python -m nst",
        description="Paint a photo in the manner of a painting, by optimising its pixels.",
        epilog="Ctrl-C once writes the picture so far and exits with 130; twice, nothing is"
        " written. `nst batch --help` is about many pictures at once.",
    )
    parser.add_argument("content", metavar="CONTENT", help="the photo")
    add_styles(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.png",
        required=True,
        help="PNG, TIFF, WebP or JPEG to write, by its ending, in sRGB; a link is followed, none"
        " of the pictures read may be overwritten",
    )
    parser.add_argument(
        "--recipe",
        metavar="RESULT.png",
        help="paint again as a picture made here was painted; its recipe takes the place of all"
        " settings",
    )
    add_setting_flags(parser)
    parser.add_argument(
        "--only-colors",
        action="store_true",
        help="give the photo the painting's colours and paint nothing; at the photo's own size, at"
        " once",
    )
    add_file_flags(parser)
    add_device_flag(parser)
    add_cluster_flags(
        parser,
        work="share out the tiles of a picture above 1024 × 1024 px among workers",
        jobs="number of workers",
    )
    parser.add_argument(
        "--yes", action="store_true", help="begin without a question, even if it takes hours"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per iteration on stdout"
    )
    return parser


def run(options: argparse.Namespace, stop: StopRequest) -> None:
    """Stylise as the options ask, or until the stop request.

    Errors of the engine pass through; no partial file is left.
    """
    output, settings = Path(options.output), _checked_settings(options)
    content, alpha, styles = _load_pictures(options)
    if options.only_colors:
        _recolor(output, options.depth, content, alpha, styles, stop)
        return

    from nst import load_image  # after --help: torch takes seconds
    from nst.engine.devices import load_network, pick_device
    from nst.engine.finished_file import finished_file
    from nst.engine.repaint import repaint
    from nst.images.recipe import new_recipe, read_recipe
    from nst.provenance import provenance_of
    from nst.studio.backends.local import LocalBackend

    init = load_named(load_image, options.init) if options.init else None
    given = read_masks(options)
    device = str(pick_device(options.device))
    recipe = None if options.recipe is None else load_named(read_recipe, options.recipe)
    faces = _face_mask_of(content) if options.protect_faces else None
    masks, *passage_masks = _masks_of(recipe, given, faces, len(styles))
    styles = recipe.paired(styles) if recipe else styles
    _check_shape(recipe, given, content)
    _check_masks(masks, passage_masks, content, styles)
    fresh = new_recipe(content, styles, settings, device, masks=masks, init=init)
    recipe = recipe or fresh
    backend, until_painted = LocalBackend(device), contextlib.ExitStack()
    engine = _engine_of(options, backend, until_painted)
    steps = repaint(recipe, content, styles, masks=passage_masks, init=init, engine=engine)
    check_space(output, _largest_file(content, recipe, options.depth, alpha is not None))
    network = load_network(recipe.settings, device)
    if options.ray:
        _check_spread(content, recipe)
    else:  # what a cluster takes is not known
        _admit(options, backend, recipe, content, styles, passage_masks)
    here = provenance_of(network.device, network.dtype)
    fresh = dataclasses.replace(fresh, provenance=(here,))
    present = recipe.painted_again(fresh, passage_masks)
    for difference in recipe.differences(present) if options.recipe is not None else ():
        print(f"nst: {difference}; the result may differ", file=sys.stderr)
    output_of_steps = sys.stdout  # not that of a cluster that is joined
    with until_painted:
        passages, step, failure = _paint(steps, options, stop, output_of_steps)
        pixels = step.pixels  # which workers may have
    if step.provenance:
        present = dataclasses.replace(present, provenance=(step.provenance,))
    used = present.painted_until(passages, step.iteration)
    data = finished_file(
        pixels,
        used,
        content,
        styles,
        passage_masks[passages - 1],
        suffix=output.suffix.lower(),
        depth=options.depth,
        alpha=alpha,
    )
    _write(output, data, stop)
    if failure:
        raise WorkerError(f"{failure} The picture so far is in {output}.") from failure
    if stop.is_made:
        print(
            f"nst: stopped after {step.iteration} of {step.total} iterations;"
            f" the picture so far is in {output}",
            file=sys.stderr,
        )


def _face_mask_of(photo: Image.Image) -> Image.Image | None:
    """Return a mask of the faces of the photo; say so where there is none.

    Raises `MissingPackageError`.
    """
    from nst.images.faces import mask_of_all_faces  # after --help

    mask = mask_of_all_faces(photo)
    if mask is None:
        print("nst: no face was found in the photo", file=sys.stderr)
    return mask


def _masks_of(
    recipe: Recipe | None, given: Masks, faces: Image.Image | None, paintings: int
) -> list[Masks]:
    """Return the masks of all paintings, and then those of each passage.

    What is not given are the recipe's copies: nearly what it was painted with, and said to be
    others. A mask of faces comes beside what is left as it is, unless it is the recipe's own.
    """
    if recipe is None:
        masks = [given, given]
    else:
        given = recipe.paired_masks(given, paintings)
        if faces and not given.keep and recipe.keeps(faces):
            given, faces = given.keeping(faces), None
        masks = [recipe.all_masks(given), *recipe.passage_masks(given)]
    return _keeping(masks, faces) if faces else masks


def _keeping(masks: Sequence[Masks], mask: Image.Image) -> list[Masks]:
    """Return masks where what another one shows is left as it is, too.

    Equal keep masks stay one object.
    """
    kept: dict[int, Image.Image | None] = {}
    for each in masks:
        if id(each.keep) not in kept:
            kept[id(each.keep)] = each.keeping(mask).keep
    return [dataclasses.replace(each, keep=kept[id(each.keep)]) for each in masks]


def _check_shape(recipe: Recipe | None, given: Masks, photo: Image.Image) -> None:
    """Raise `RecipeError` where masks are a recipe's own, and the photo has another shape."""
    from nst.images.masks import has_shape_of

    if recipe is None or has_shape_of((recipe.content.width, recipe.content.height), photo.size):
        return
    own = recipe.masks
    if (any(own.regions) and not any(given.regions)) or (own.keep and not given.keep):
        raise RecipeError(
            f"The recipe has masks of a photo of {recipe.content.width}×{recipe.content.height}"
            f" pixels, and this photo has another shape: {photo.width}×{photo.height}."
        )


def _check_masks(
    masks: Masks,
    passage_masks: Iterable[Masks],
    photo: Image.Image,
    paintings: Sequence[Image.Image],
) -> None:
    """Raise `ImageError` for masks, those of all passages too, that do not go with the pictures."""
    from nst import Masks

    masks.check(photo, paintings)
    for each in passage_masks:
        Masks(keep=each.keep).check(photo, paintings)


def _admit(
    options: argparse.Namespace,
    backend: LocalBackend,
    recipe: Recipe,
    photo: Image.Image,
    paintings: Sequence[Image.Image],
    passage_masks: Sequence[Masks],
) -> None:
    """Tell of a long run, and ask. Raises `UserError` where it has no room, or is not wanted.

    Of several passages the one with the most pixels counts.
    """
    from nst.admission import admit  # after --help
    from nst.studio.forecast import PlannedRun

    every = [passage.settings for passage in recipe.passages]
    most = max(range(len(every)), key=lambda at: every[at].size ** 2 * every[at].iterations)
    sizes = [painting.size for painting in recipe.seen_in(most, paintings)]
    planned = PlannedRun(photo.size, sizes, every[most], regions=passage_masks[most].count)
    admit(backend, planned, assume_yes=options.yes)


def _engine_of(
    options: argparse.Namespace, backend: LocalBackend, until_painted: contextlib.ExitStack
) -> Engine:
    """Return what paints: this process, alone or with a cluster that it joins when it begins."""
    if not options.ray:
        return backend.engine()

    @functools.cache
    def joined() -> TileMap:
        from nst.studio.backends.ray_tiles import joined_tile_map

        uses_gpus = options.device in ("auto", "cuda")
        workers = joined_tile_map(options.ray, options.jobs, uses_gpus=uses_gpus)
        return until_painted.enter_context(workers)

    def paint(*pictures: Any, **control: Any) -> Iterator[TransferStep]:
        return backend.engine()(*pictures, tile_map=joined(), **control)

    return paint


def _check_spread(content: Image.Image, recipe: Recipe) -> None:
    """Raise `SettingsError` for a picture that has no tiles to share out."""
    from nst.engine.memory import NEVER_TILED
    from nst.engine.spread_objective import can_be_spread
    from nst.images.tensors import fitted_size

    used = [passage.settings for passage in recipe.passages]
    if not all(map(can_be_spread, used)):
        raise SettingsError(
            "--ray is for the style cost of Gram matrices alone; leave out --style-loss"
        )
    size = max(settings.size for settings in used)
    if math.prod(fitted_size(content.size, size)) <= NEVER_TILED:
        raise SettingsError(
            "--ray is for pictures above 1024 × 1024 px; leave it out, or choose a larger --size"
        )


def _checked_settings(options: argparse.Namespace) -> TransferSettings:
    """Return the settings that were given.

    Raises what can be said of the arguments before any picture is read.
    """
    recipes = [] if options.recipe is None else [options.recipe]
    sources = [options.content, *options.styles, *recipes, *files_given(options)]
    check_output(options.output, FORMATS, sources)
    check_format(options.output, options.depth, keep_alpha=options.keep_alpha)
    check_styles(options.styles)
    check_cluster_flags(options)
    given = settings_given(options)
    flags = [*given, *uses_given(options)]
    flag = "--" + min(flags).replace("_", "-") if flags else ""
    if options.recipe is not None and flag:
        raise SettingsError(f"with --recipe the settings are the recipe's; leave out {flag}")
    if options.only_colors and (unused := flag or _about_painting(options)):
        raise SettingsError(f"with --only-colors nothing is painted; leave out {unused}")
    uses = painting_uses(options, len(options.styles))
    with flags_named():
        return TransferSettings(**given, paintings=uses)


def _about_painting(options: argparse.Namespace) -> str:
    """Return a flag that was given and says nothing where only colours are changed, or ""."""
    names = ("recipe", "masks", "keep", "within", "protect_faces", "init", "ray")
    return next((f"--{name.replace('_', '-')}" for name in names if getattr(options, name)), "")


def _load_pictures(
    options: argparse.Namespace,
) -> tuple[Image.Image, Image.Image | None, list[Image.Image]]:
    """Return the photo, its transparency where that is kept, and the paintings."""
    from nst import load_image
    from nst.images.alpha import split_alpha

    content, alpha = load_named(
        lambda path: split_alpha(load_image(path, keep_alpha=options.keep_alpha)), options.content
    )
    return content, alpha, [load_named(load_image, path) for path in options.styles]


def _recolor(
    output: Path,
    depth: int,
    content: Image.Image,
    alpha: Image.Image | None,
    styles: Sequence[Image.Image],
    stop: StopRequest,
) -> None:
    """Write the photo in the paintings' colours.

    Its recipe is that of a run which starts from the photo and ends there, with the colour dial at
    the paintings' end, so that --recipe leads to the same picture.
    """
    from nst.images.color import without_color_noise
    from nst.images.delivery import encode, finished_samples
    from nst.images.recipe import new_recipe
    from nst.images.tensors import fit, to_tensor

    low, high = setting_options()["size"].range
    size = int(min(max(*content.size, low), high))
    settings = TransferSettings(size=size, start="content", colors=1.0, iterations=1)
    recipe = new_recipe(content, styles, settings, "cpu").painted_until(1, 0)
    check_space(output, _largest_file(content, recipe, depth, alpha is not None))
    pixels = to_tensor(fit(without_color_noise(content), size))
    samples = finished_samples(pixels, content, styles, 1.0, depth=depth, alpha=alpha)
    _write(output, encode(samples, recipe, output.suffix.lower()), stop)


def _paint(
    steps: Iterable[TransferStep],
    options: argparse.Namespace,
    stop: StopRequest,
    output: TextIO,
) -> tuple[int, TransferStep, WorkerError | None]:
    """Report the steps until they end, a stop is requested, or all workers are lost.

    Return the number of passages begun, the last step, and what ended the run where workers did.
    """
    show_bar = not options.json or sys.stderr.isatty()
    passages, last, failure, bar = 1, None, None, ProgressBar(sys.stderr)
    try:
        for step in steps:
            stop.defer()
            if last is not None and step.iteration <= last.iteration:
                passages += 1  # a passage begins where one ended
            last = step
            if options.json:
                told = {name: getattr(step, name) for name in REPORTED}
                print(json.dumps(told), file=output, flush=True)
            if show_bar:
                bar.show(step)
            if stop.is_made:
                break
    except WorkerError as error:
        if last is None:
            raise
        failure = error
    bar.close()
    assert last is not None
    return passages, last, failure


def _write(output: Path, data: bytes, stop: StopRequest) -> None:
    """Write a file, whole or not at all."""
    from nst.files import whole_file

    with whole_file(output) as temporary:
        temporary.write_bytes(data)
        stop.ignore()  # from here on it is written, and what is said must be true


def _largest_file(content: Image.Image, recipe: Recipe, depth: int, has_alpha: bool) -> int:
    """Return an upper limit of the output's size in bytes.

    It is made of its pixels as they are, its recipe, and one part in a thousand for the format.
    """
    from nst.images.tensors import fitted_size

    sizes = [passage.settings.size for passage in recipe.passages]
    width, height = fitted_size(content.size, max(sizes))
    samples = (4 if has_alpha else 3) * width * height
    return round(samples * depth / 8 * 1.001) + len(recipe.to_text()) + 10_000


class ProgressBar:
    """Show how far a run is, on one line as wide as the terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Any = None  # tqdm is untyped

    def show(self, step: TransferStep) -> None:
        """Redraw the line as it is after a step; the time left is the engine's estimate."""
        if self._bar is None:
            from tqdm import tqdm  # after --help

            self._bar = tqdm(
                total=step.total,
                file=self._stream,
                bar_format="{bar} {n_fmt}/{total_fmt}{postfix}",
                dynamic_ncols=True,
            )
        costs = f"{step.width}×{step.height}, J {step.J:.3g}, {step.remaining:.0f} s left"
        self._bar.set_postfix_str(costs, refresh=False)
        self._bar.n = step.iteration
        self._bar.refresh()

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar.close()


def command() -> int:
    """Run `nst`: a transfer, or `nst studio` (the page), `nst batch …`, `nst video …`.

    Return the exit status. A photo whose name is `batch` or `video` is written `./batch`: what a
    command means must not depend on which files lie around.
    """
    words = sys.argv[1:]
    if words[:1] == ["video"]:
        film: int = import_module("nst.video.__main__").command(words[1:])
        return film
    if words == ["studio"]:
        import_module("page.serving").main()  # the library knows no page
        return 0
    if words[:1] == ["batch"]:
        from nst.batch.__main__ import main as batch

        return run_command(partial(batch, words[1:]), "nst")
    return run_command(main, "nst")


if __name__ == "__main__":
    sys.exit(command())
