"""Examples on the Hub: what is read, fetched, painted and published, against a real protocol."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from PIL import Image

import nst.hub.examples as hub_examples
from helpers.loopback_hub import LoopbackHub, without_xet
from helpers.pictures import MakePicture
from helpers.places import EXAMPLES
from nst.errors import HubError
from nst.hub.examples import cached, fetch, push_examples
from nst.hub.image_folder import METADATA, Picture, read_collection, write_metadata
from nst.images.recipe import new_recipe, read_recipe
from nst.images.writing import png_bytes
from nst.settings import DEFAULTS, TransferSettings
from page.examples import Example, ExampleSet

pytestmark = pytest.mark.slow


REPO = "ada/examples"


@pytest.fixture
def files(make_picture: MakePicture) -> dict[str, bytes]:
    """A small collection: a photo, a painting, and what was made of them."""
    content, style, result = (make_picture(40, 30, seed) for seed in (1, 2, 3))
    recipe = new_recipe(content, [style], DEFAULTS, "cpu")
    pictures = [
        Picture("content/hill.png", "content", "A hill", artist="Ada", year=1843, licence="CC0"),
        Picture("style/storm.png", "style", "A storm"),
        Picture(
            "results/hill-storm.png",
            "result",
            "A hill in a storm",
            content="content/hill.png",
            style="style/storm.png",
            look="Balanced",
            recipe=recipe,
        ),
    ]
    return {
        METADATA: write_metadata(pictures),
        "content/hill.png": png_bytes(content),
        "style/storm.png": png_bytes(style),
        "results/hill-storm.png": png_bytes(result),
    }


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


# ------------------------------------------------------------------ the layout


def test_a_description_comes_back(files: dict[str, bytes], tmp_path: Path) -> None:
    pictures = read_collection(write(files, tmp_path))
    assert [picture.role for picture in pictures] == ["content", "style", "result"]
    assert pictures[0] == Picture(
        "content/hill.png", "content", "A hill", artist="Ada", year=1843, licence="CC0"
    )
    assert pictures[2].recipe is not None
    assert write_metadata(pictures) == files[METADATA]


def test_the_bundled_collection_is_whole() -> None:
    pictures = read_collection(EXAMPLES)
    names = {picture.file_name for picture in pictures}
    lines = (EXAMPLES / METADATA).read_text(encoding="utf-8").splitlines()
    assert len(pictures) == len(lines) >= 25
    for picture in pictures:
        assert picture.licence
        assert picture.artist
        if picture.role == "result":
            assert {picture.content, picture.style} <= names
            assert picture.look
        else:
            assert (EXAMPLES / picture.file_name).is_file()
    on_disk = {str(p.relative_to(EXAMPLES)) for p in EXAMPLES.glob("*/*.*g")}
    assert on_disk <= names


def test_bundled_results_carry_the_recipe_that_is_described() -> None:
    results = [p for p in read_collection(EXAMPLES) if (EXAMPLES / p.file_name).is_file()]
    results = [picture for picture in results if picture.role == "result"]
    assert len(results) >= 4
    for picture in results:
        assert picture.recipe == read_recipe(EXAMPLES / picture.file_name)
        assert hub_examples.is_painted_as(picture.recipe, picture, EXAMPLES)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"role": "content"}',
        '{"file_name": "a.jpg"}',
        '{"file_name": "a.jpg", "role": "admin"}',
        '{"file_name": "../a.jpg", "role": "content"}',
        '{"file_name": "content/../../a.jpg", "role": "content"}',
        '{"file_name": "/etc/a.jpg", "role": "content"}',
        '{"file_name": "content\\\\a.jpg", "role": "content"}',
        '{"file_name": "a.svg", "role": "content"}',
        '{"file_name": "\\u0000.jpg", "role": "content"}',
        '{"file_name": ["a.jpg"], "role": "content"}',
    ],
)
def test_a_line_that_is_not_ours_is_left_out(tmp_path: Path, line: str) -> None:
    good = '{"file_name": "b.jpg", "role": "style", "title": "B"}'
    (tmp_path / METADATA).write_text(f"{line}\n{good}\n", encoding="utf-8")
    assert [picture.file_name for picture in read_collection(tmp_path)] == ["b.jpg"]


def test_descriptions_from_elsewhere_are_tamed(tmp_path: Path) -> None:
    hostile: dict[str, Any] = {
        "file_name": "a.png",
        "role": "result",
        "title": "<b>\n" + "x" * 10_000,
        "artist": 7,
        "year": "1889",
        "look": ["Balanced"],
        "recipe": '{"version": 1}',
        "content": "../../etc/passwd",
    }
    (tmp_path / METADATA).write_text(json.dumps(hostile), encoding="utf-8")
    (picture,) = read_collection(tmp_path)
    assert len(picture.title) <= 200
    assert "\n" not in picture.title
    assert (picture.artist, picture.year, picture.look) == ("", None, "")
    assert (picture.recipe, picture.content) == (None, "")


def test_endless_metadata_are_refused(tmp_path: Path) -> None:
    with (tmp_path / METADATA).open("wb") as file:
        file.truncate(30_000_000)
    with pytest.raises(OSError, match="too large"):
        read_collection(tmp_path)


# ------------------------------------------------------------------ fetching


def test_a_pinned_snapshot_is_asked_for_once(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    sha = hub.add_repo(REPO, "dataset", files)
    api = HfApi(endpoint=hub.url)
    assert cached(REPO, sha, api=api, cache=tmp_path) is None
    folder = fetch(REPO, sha, api=api, cache=tmp_path)
    assert {name: (folder / name).read_bytes() for name in files} == files
    before = len(hub.requests)
    assert fetch(REPO, sha, api=api, cache=tmp_path) == folder
    assert len(hub.requests) == before


def test_a_branch_that_has_not_moved_costs_one_request(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.add_repo(REPO, "dataset", files)
    api = HfApi(endpoint=hub.url)
    folder = fetch(REPO, api=api, cache=tmp_path)
    before = len(hub.requests)
    assert cached(REPO, api=api, cache=tmp_path) == folder
    assert len(hub.requests) == before
    assert fetch(REPO, api=api, cache=tmp_path) == folder
    assert len(hub.requests) == before + 1


def test_a_branch_that_has_moved_is_followed(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.add_repo(REPO, "dataset", files)
    api = HfApi(endpoint=hub.url)
    first = fetch(REPO, api=api, cache=tmp_path)
    hub.push(REPO, "dataset", {"style/storm.png": files["content/hill.png"]})
    second = fetch(REPO, api=api, cache=tmp_path)
    assert second != first
    assert (second / "style/storm.png").read_bytes() == files["content/hill.png"]


def test_what_is_there_is_known_without_the_server(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.add_repo(REPO, "dataset", files)
    api = HfApi(endpoint=hub.url)
    folder = fetch(REPO, api=api, cache=tmp_path)
    hub.stop()
    assert cached(REPO, api=api, cache=tmp_path) == folder
    with pytest.raises(HubError, match="cannot be reached"):
        fetch(REPO, api=api, cache=tmp_path)


def test_an_interrupted_snapshot_is_not_taken_for_a_whole_one(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    sha = hub.add_repo(REPO, "dataset", files)
    api = HfApi(endpoint=hub.url)
    api.hf_hub_download(REPO, METADATA, repo_type="dataset", revision=sha, cache_dir=tmp_path)
    assert cached(REPO, sha, api=api, cache=tmp_path) is None
    assert (fetch(REPO, sha, api=api, cache=tmp_path) / "style/storm.png").is_file()


def test_what_arrived_damaged_is_not_kept(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.add_repo(REPO, "dataset", files)
    api = HfApi(endpoint=hub.url)
    hub.fail(r"/cdn/", garbage=True, times=1)
    with pytest.raises(HubError, match="arrived damaged"):
        fetch(REPO, api=api, cache=tmp_path)
    assert cached(REPO, api=api, cache=tmp_path) is None
    folder = fetch(REPO, api=api, cache=tmp_path)
    assert {name: (folder / name).read_bytes() for name in files} == files


def test_a_repository_that_is_far_too_large_is_refused_before_any_download(
    hub: LoopbackHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    many = {f"content/{number}.png": b"x" for number in range(hub_examples.MOST_FILES + 1)}
    hub.add_repo(REPO, "dataset", {**files, **many})
    with pytest.raises(HubError, match="too large"):
        fetch(REPO, api=HfApi(endpoint=hub.url), cache=tmp_path)
    assert not hub.asked("/resolve/")


@pytest.mark.parametrize("repo", ["nobody/nothing", "no name", "../..", ""])
def test_a_repository_that_is_not_there_gets_a_sentence(
    hub: LoopbackHub, tmp_path: Path, repo: str
) -> None:
    with pytest.raises(HubError) as caught:
        fetch(repo, api=HfApi(endpoint=hub.url), cache=tmp_path)
    assert str(tmp_path) not in str(caught.value)
    assert hub.url not in str(caught.value)


# ------------------------------------------------------------------ on the page's examples


def are_known(examples: ExampleSet, result: Example) -> bool:
    """Whether the photo and the painting of a finished picture are on the examples."""
    recipe = result.picture.recipe
    assert recipe
    return bool(examples.example_of(recipe.content) and examples.example_of(recipe.painting))


def test_the_shelf_takes_what_is_new_and_usable(
    files: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moose = (EXAMPLES / "content/moose.jpg").read_bytes()
    described = [
        *read_collection(write(files, tmp_path / "first")),
        Picture("content/moose.jpg", "content", "The bundled moose once more"),
        Picture("content/castle.png", "content", "Another castle"),
        Picture("content/broken.jpg", "content", "No picture"),
        Picture("content/missing.jpg", "content", "Not there"),
    ]
    other = Image.open(io.BytesIO(files["style/storm.png"])).rotate(90)
    files |= {
        METADATA: write_metadata(described),
        "content/moose.jpg": moose,
        "content/castle.png": png_bytes(other),
        "content/broken.jpg": moose[:500],
    }
    examples = ExampleSet()
    before = len(examples.all)
    with caplog.at_level(logging.WARNING):
        examples._take(write(files, tmp_path / "second"))
    new = examples.all[before:]
    assert [example.title for example in new] == [
        "A hill",
        "A storm",
        "A hill in a storm",
        "Another castle",
    ]
    assert new[3].name.startswith("castle-")  # the bundled one is called castle
    assert are_known(examples, new[2])
    assert "broken.jpg cannot be used" in caplog.text
    assert len(caplog.records) == 1


def test_a_shelf_without_a_hub_is_settled_at_once() -> None:
    examples = ExampleSet()
    examples.start()
    assert examples.is_settled.is_set()
    assert len(examples.of_role("result")) >= 4
    assert all(are_known(examples, example) for example in examples.of_role("result"))


# ------------------------------------------------------------------ publishing


@pytest.fixture
def paintings(monkeypatch: pytest.MonkeyPatch) -> list[TransferSettings]:
    """A painter that is quick; what it was asked for."""
    asked: list[TransferSettings] = []

    def paint(content: Image.Image, style: Image.Image, settings: TransferSettings) -> Image.Image:
        asked.append(settings)
        return Image.blend(content, style.resize(content.size), 0.5)

    monkeypatch.setattr(hub_examples, "stylize", paint)
    return asked


@pytest.fixture
def folder(files: dict[str, bytes], tmp_path: Path) -> Path:
    """The collection with its result described, and not painted."""
    folder = write(files, tmp_path / "examples")
    (folder / "results/hill-storm.png").unlink()
    lines = [json.loads(line) for line in (folder / METADATA).read_text().splitlines()]
    del lines[2]["recipe"]
    (folder / METADATA).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_everything_goes_up_in_one_commit_and_only_once(
    hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path, paintings: list[TransferSettings]
) -> None:
    with without_xet():
        first = push_examples(REPO, folder, tmp_path / "work", api=api)
        second = push_examples(REPO, folder, tmp_path / "elsewhere", api=api)
    assert first.address == f"{hub.url}/datasets/{REPO}"
    assert set(first.uploaded) == {
        "README.md",
        METADATA,
        "content/hill.png",
        "style/storm.png",
        "results/hill-storm.png",
    }
    assert second.uploaded == ()
    assert len(paintings) == 1
    assert len([title for _, title in hub.commits(REPO, "dataset") if "Examples" in title]) == 1
    there = hub.files(REPO, "dataset")
    recipe = read_recipe(there["results/hill-storm.png"])
    described = [json.loads(line) for line in there[METADATA].decode().splitlines()]
    assert described[2]["recipe"] == recipe.to_text()
    assert recipe.settings == TransferSettings(size=hub_examples.RESULT_SIZE)


def test_an_interrupted_push_paints_only_what_is_missing(
    hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path, paintings: list[TransferSettings]
) -> None:
    hub.fail("/commit/", status=403)
    with without_xet(), pytest.raises(HubError, match="may not write"):
        push_examples(REPO, folder, tmp_path / "work", api=api)
    hub.heal()
    with without_xet():
        assert push_examples(REPO, folder, tmp_path / "work", api=api).uploaded
    assert len(paintings) == 1


def test_another_look_is_painted_again_and_what_others_added_stays(
    hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path, paintings: list[TransferSettings]
) -> None:
    with without_xet():
        push_examples(REPO, folder, tmp_path / "work", api=api)
        theirs = Picture("content/lake.png", "content", "A lake")
        metadata = hub.files(REPO, "dataset")[METADATA] + write_metadata([theirs])
        hub.push(REPO, "dataset", {METADATA: metadata, "content/lake.png": b"a lake"})
        text = (folder / METADATA).read_text()
        (folder / METADATA).write_text(text.replace("Balanced", "Light touch"))
        pushed = push_examples(REPO, folder, tmp_path / "work", api=api)
    assert pushed.uploaded == (METADATA, "results/hill-storm.png")
    assert [settings.alpha for settings in paintings] == [1.0, 10.0]
    there = hub.files(REPO, "dataset")
    assert b"A lake" in there[METADATA]
    assert "content/lake.png" in there


def test_what_was_published_can_be_fetched_and_shown(
    hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path, paintings: list[TransferSettings]
) -> None:
    with without_xet():
        push_examples(REPO, folder, tmp_path / "work", api=api)
    examples = ExampleSet(fetch(REPO, api=api, cache=tmp_path / "cache"))
    (result,) = examples.of_role("result")
    assert result.title == "A hill in a storm"
    assert are_known(examples, result)


def test_the_command_line_says_what_it_did(hub: LoopbackHub, folder: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        **hub.environment(hub.add_user("grace")),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hf"),
    }
    lines = (folder / METADATA).read_text().splitlines()[:2]  # no result, nothing to paint
    (folder / METADATA).write_text("\n".join(lines))
    command = [sys.executable, "-m", "nst.hub", "push-examples", "grace/examples"]
    for said in ("4 files uploaded: ", "nothing new: "):
        result = subprocess.run(
            [*command, "--folder", str(folder)],
            env=environment,
            cwd=EXAMPLES.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout == f"{said}{hub.url}/datasets/grace/examples\n"
    refused = subprocess.run(
        [*command[:-1], "ada/examples", "--folder", str(folder)],
        env=environment,
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("nst.hub: This account may not write to ada/examples")
    assert refused.stderr.count("\n") == 1
