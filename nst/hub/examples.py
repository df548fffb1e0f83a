"""Example pictures on the Hub: fetching them, and publishing the bundled ones with their results.

Knows repositories, caches and commits; the layout is `nst.hub.image_folder`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi, RepoFile

from nst.engine.devices import load_network
from nst.engine.transfer import stylize
from nst.errors import HubError, RecipeError
from nst.files import whole_file
from nst.hub.image_folder import METADATA, SUFFIXES, Picture, read_collection, write_metadata
from nst.images.reading import load_image
from nst.images.recipe import Ingredient, Recipe, new_recipe, read_recipe, signed_png
from nst.looks import LOOKS
from nst.provenance import provenance_of
from nst.settings import TransferSettings
from nst.web.hub_client import (
    COMMIT_HASH,
    Published,
    files_of,
    hub_errors,
    is_same,
    publish,
    signed_in,
)

WANTED = [METADATA, *(f"*{suffix}" for suffix in SUFFIXES)]
MOST_FILES = 400
MOST_BYTES = 200_000_000
SILENCE = 10.0  # seconds that a server may take to begin an answer
# In the folder of a snapshot that has arrived unharmed: not all versions of the library tell a part
# from the whole.
WHOLE = ".nst-whole"
CARD = """---
license: other
license_name: per-picture
license_link: https://huggingface.co/datasets/{repo}/blob/main/metadata.jsonl
pretty_name: Neural style transfer examples
task_categories:
- image-to-image
tags:
- style-transfer
- neural-style-transfer
size_categories:
- n<1K
---

# Neural style transfer: examples

Photos (`content`), paintings (`style`) and finished pictures (`result`) for iterative neural style
transfer after Gatys et al. An ordinary image folder: `metadata.jsonl` gives each picture's role,
title, artist, year, licence and source, and for a result the photo, the painting, the look and the
recipe, which is also in the PNG itself as the text chunk `nst-recipe`. The same recipe paints the
same picture again.

Each picture has its own licence; see the column `licence`.
"""


def cached(
    repo: str, revision: str | None = None, *, api: HfApi | None = None, cache: Path | None = None
) -> Path | None:
    """Return the folder of a whole snapshot that was fetched before; no request is made.

    `cache` stands for the cache of `huggingface_hub`.
    """
    with contextlib.suppress(Exception):  # nothing there, a part, or a name that cannot be
        folder = _snapshot(api or HfApi(), repo, revision, cache, local_files_only=True)
        return folder if (folder / WHOLE).exists() else None
    return None


def fetch(
    repo: str, revision: str | None = None, *, api: HfApi | None = None, cache: Path | None = None
) -> Path:
    """Return the folder of the newest snapshot, downloaded where it is not there.

    A pinned one that is there makes no request. Raises `HubError`, also for a repository that is
    far too large.
    """
    api = api or HfApi()
    present = cached(repo, revision, api=api, cache=cache)
    is_pinned = revision is not None and COMMIT_HASH.fullmatch(revision)
    if is_pinned and present:
        return present
    with hub_errors(repo):
        sha = str(
            revision
            if is_pinned
            else api.dataset_info(repo, revision=revision, timeout=SILENCE).sha
        )
        if present and present.name == sha:
            return present
        files = _files(api, repo, sha)
        # By the name of its branch, so that the cache knows without asking which commit that was.
        folder = _snapshot(api, repo, revision, cache)
        if folder.name != sha:  # somebody has published meanwhile
            files = _files(api, repo, folder.name)
        _check_content(repo, folder, files)
    with contextlib.suppress(OSError):  # a cache that is only read is asked for every time
        (folder / WHOLE).touch()
    return folder


def _snapshot(
    api: HfApi,
    repo: str,
    revision: str | None,
    cache: Path | None,
    *,
    local_files_only: bool = False,
) -> Path:
    folder = api.snapshot_download(
        repo,
        repo_type="dataset",
        revision=revision,
        cache_dir=cache,
        allow_patterns=WANTED,
        max_workers=4,
        local_files_only=local_files_only,
    )
    return Path(folder)


def _files(api: HfApi, repo: str, sha: str) -> list[RepoFile]:
    """Return the files of a commit that are wanted.

    Raises `HubError` when they are too many or too large.
    """
    files: list[RepoFile] = []
    total = 0
    for entry in api.list_repo_tree(repo, repo_type="dataset", revision=sha, recursive=True):
        if isinstance(entry, RepoFile) and entry.path.endswith((METADATA, *SUFFIXES)):
            files.append(entry)
            total += entry.size
        if len(files) > MOST_FILES or total > MOST_BYTES:
            raise HubError(f"{repo} is too large for a collection of examples.")
    return files


def _check_content(repo: str, folder: Path, files: Iterable[RepoFile]) -> None:
    """Raise `HubError` where what arrived is not what was sent, and leave none of it in the cache.

    The library does not look.
    """
    paths = {folder / file.path: file for file in files}
    damaged = [p for p, file in paths.items() if p.is_file() and not is_same(p.read_bytes(), file)]
    for path in damaged:
        path.resolve().unlink(missing_ok=True)  # what the snapshot's link leads to
        path.unlink(missing_ok=True)
    if damaged:
        raise HubError(f"{len(damaged)} files of {repo} arrived damaged.")
    if not all(path.is_file() for path in paths):
        raise HubError(f"Not all files of {repo} have arrived.")


RESULT_SIZE = 768  # pixels
Report = Callable[[str], None]


def push_examples(
    repo: str,
    folder: Path,
    work: Path,
    *,
    private: bool = False,
    api: HfApi | None = None,
    report: Report = lambda line: None,
) -> Published:
    """Publish the collection in `folder` in one commit, with every result that it describes.

    A result that is neither in the repository nor in `folder` is painted, and kept in `work`: after
    an interruption only what is missing is painted. What others added to the repository stays.
    Raises `HubError`, `OSError` for a folder that cannot be read or written to, and `ImageError`
    for a picture that cannot be used.
    """
    api = signed_in(api or HfApi())
    with hub_errors(repo):
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
    there = files_of(api, repo, "dataset")
    published = _published(api, repo) if METADATA in there else {}
    pictures: dict[str, Picture] = {}
    files: dict[str, bytes] = {}
    for picture in read_collection(folder):
        name = picture.file_name
        if picture.role != "result":
            files[name] = (folder / name).read_bytes()
        elif (
            name in there and name in published and _is_result_of(picture, published[name], folder)
        ):
            picture = replace(picture, recipe=published[name].recipe)
        else:
            path, recipe = _result(picture, folder, work, report)
            files[name] = path.read_bytes()
            picture = replace(picture, recipe=recipe)
        pictures[name] = picture
    files[METADATA] = write_metadata(list({**published, **pictures}.values()))
    files["README.md"] = CARD.format(repo=repo).encode()
    message = "Examples and finished pictures"
    return publish(api, repo, files, message, kind="dataset", there=there)


def _published(api: HfApi, repo: str) -> Mapping[str, Picture]:
    """Return what the repository describes already."""
    with hub_errors(repo):
        path = Path(api.hf_hub_download(repo, METADATA, repo_type="dataset"))
    return {picture.file_name: picture for picture in read_collection(path.parent)}


def _is_result_of(wanted: Picture, found: Picture | None, folder: Path) -> bool:
    recipe = found.recipe if found else None
    return recipe is not None and is_painted_as(recipe, wanted, folder)


def is_painted_as(recipe: Recipe, wanted: Picture, folder: Path) -> bool:
    """Tell whether a recipe is that of a wanted result: the same pictures, and its look."""
    paths = (folder / wanted.content, folder / wanted.style)
    content, style = (Ingredient.of(load_image(path)) for path in paths)
    return (recipe.content, recipe.styles) == (content, (style,)) and recipe.settings.paints_like(
        settings_of(wanted)
    )


def settings_of(wanted: Picture) -> TransferSettings:
    """Return the settings that a result is painted with: its look, at a size that fills a page."""
    return LOOKS[wanted.look].settings.replace(size=RESULT_SIZE)


def _result(wanted: Picture, folder: Path, work: Path, report: Report) -> tuple[Path, Recipe]:
    """Return the file of a result, painted if it is nowhere yet, and its recipe."""
    for path in (folder / wanted.file_name, work / wanted.file_name):
        with contextlib.suppress(RecipeError):  # also when it is not there
            recipe = read_recipe(path)
            if is_painted_as(recipe, wanted, folder):
                return path, recipe
    report(f"painting {wanted.file_name}")
    return _paint(wanted, folder, work / wanted.file_name)


def _paint(wanted: Picture, folder: Path, path: Path) -> tuple[Path, Recipe]:
    content, style = (load_image(folder / name) for name in (wanted.content, wanted.style))
    settings = settings_of(wanted)
    network = load_network(settings)
    here = provenance_of(network.device, network.dtype)
    recipe = new_recipe(content, [style], settings, here)
    picture = stylize(content, style, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(signed_png(picture, recipe))
    return path, recipe
