"""Provenance: what painted a picture is recorded when it is painted, and differences are named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import nst.engine.contact_sheet
import nst.engine.repaint
import nst.provenance
import nst.studio.job
from helpers.pictures import MakePicture
from nst.__main__ import main
from nst.engine.contact_sheet import plan_sheet
from nst.engine.repaint import repaint
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.images.reading import load_image
from nst.images.recipe import KEYWORD, Recipe, new_recipe, parse_recipe, read_recipe
from nst.images.writing import save_png
from nst.provenance import Provenance, provenance_of
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.job_store import JobStore
from nst.studio.sheet_job import Sheet
from nst.studio.task import State
from nst.vgg.network import VGG

SMALL = TransferSettings(size=64, iterations=4)
HERE = Provenance("cpu", "AVX512", "float32", 2, {"nst": "0.2.0", "torch": "2.14.1"})


@pytest.fixture
def engine(network: VGG, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The real engine on a tiny network, also for the command line."""
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    return partial(transfer_style, network=network)


@pytest.fixture
def threads() -> Iterator[None]:
    """A test may change how many threads torch uses."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def made_by(provenance: Provenance, engine: Engine) -> Engine:
    """An engine whose steps say that they were painted by something else."""

    def paint(*args: Any, **options: Any) -> Iterator[TransferStep]:
        return (replace(step, provenance=provenance) for step in engine(*args, **options))

    return paint


def version_1(recipe: Recipe, **changes: Any) -> str:
    """The text that version 0.1.0 would have written."""
    data = json.loads(recipe.to_text())
    del data["provenance"]
    for passage in data["passages"]:
        del passage["painted_by"]
    software = {"nst": "0.1.0", "torch": "2.14.1"}
    return json.dumps({**data, "version": 1, "device": "cpu", "software": software, **changes})


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("count", [1, 2])
def test_each_step_tells_what_painted_it(
    engine: Engine, photo: Image.Image, painting: Image.Image, network: VGG, count: int
) -> None:
    torch.set_num_threads(count)
    first, *_ = engine(photo, painting, SMALL)
    assert first.provenance == provenance_of(network.device, network.dtype)
    assert first.provenance
    assert (first.provenance.device, first.provenance.threads) == ("cpu", count)
    assert first.provenance.precision == "float32"
    assert set(first.provenance.software) == {"nst", "torch"}


def test_a_job_painted_on_elsewhere_records_both(
    engine: Engine, photo: Image.Image, painting: Image.Image, tmp_path: Path
) -> None:
    """Begun before an upgrade on another machine, kept on disk, and painted on here."""
    before = Provenance("cuda", "NVIDIA-L4", "bfloat16", 0, {"nst": "0.2.0", "torch": "2.9"})
    job = Job(photo, [painting], SMALL, engine=made_by(before, engine))
    list(job.run())
    assert job.recipe().provenance == (before,)
    JobStore(tmp_path).save(job)
    again = JobStore(tmp_path).load(job.id)
    assert again
    assert again.recipe().provenance == (before,), "not what reads it"
    again.engine = engine
    again.resume(SMALL.replace(iterations=6))
    list(again.run())
    assert again.state is State.FINISHED
    recipe = parse_recipe(again.recipe().to_text())
    assert [each.device for each in recipe.provenance] == ["cuda", "cpu"]
    assert [passage.painted_by for passage in recipe.passages] == [0, 1]
    assert again.copy("another").recipe() == recipe


def test_nothing_painted_has_no_provenance(photo: Image.Image, painting: Image.Image) -> None:
    recipe = Job(photo, [painting], SMALL).recipe()
    assert recipe.provenance == ()
    assert parse_recipe(recipe.to_text()) == recipe


def test_a_tile_keeps_what_painted_it(
    engine: Engine, photo: Image.Image, painting: Image.Image
) -> None:
    here = Provenance("cpu", "AVX2", "float32", 7, {"nst": "0.2.0", "torch": "2.9"})
    grid = plan_sheet(SMALL, "beta", "style_scale")
    small = [[each.replace(size=64, iterations=1) for each in row[:2]] for row in grid[:1]]
    sheet = Sheet(photo, [painting], small, visitor="v", engine=made_by(here, engine))
    list(sheet.run())
    job = sheet.job_of(0, 1, SMALL, "v")
    assert job.recipe().provenance == (here,)
    assert job.recipe().iterations == sheet.tiles[0][1].iteration


@pytest.mark.parametrize(
    ("present", "sentences"),
    [
        (HERE, []),
        (
            replace(HERE, threads=8),
            [
                "the recipe was painted with 2 threads, this machine uses 8;"
                " set OMP_NUM_THREADS=2 for the same picture"
            ],
        ),
        (
            replace(HERE, precision="bfloat16", processor="AVX2"),
            [
                "the recipe was painted on a processor with AVX512, this machine's has AVX2",
                "the recipe was painted in float32, this machine computes in bfloat16",
            ],
        ),
        (
            Provenance("cuda", "NVIDIA-L4", "bfloat16", 0, HERE.software),
            ["the recipe was painted on cpu, this machine uses cuda"],
        ),
        (
            replace(HERE, software={"nst": "0.2.0", "torch": "2.15"}),
            ["the recipe was painted with torch 2.14.1, this machine has 2.15"],
        ),
    ],
)
def test_each_difference_is_one_sentence(
    present: Provenance, sentences: list[str], photo: Image.Image
) -> None:
    recipe = new_recipe(photo, [photo], SMALL, HERE)
    assert recipe.differences(new_recipe(photo, [photo], SMALL, present)) == sentences


@pytest.mark.parametrize(
    ("written", "present", "ending"),
    [
        ("0.1.0", "0.2.0", "version 0.1.0, whose engine paints grey"),
        ("0.1.0", "0.10.0", "version 0.1.0, whose engine paints grey"),
        ("0.2.0", "0.2.1", "version 0.2.0, this is 0.2.1"),
        ("0.3.0", "0.2.0", "version 0.3.0, this is 0.2.0"),
        ("0.2.0", "0.2.0", ""),
    ],
)
def test_an_older_version_is_named_with_what_it_paints_differently(
    written: str, present: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.provenance, "__version__", present)
    old = replace(HERE, software={"nst": written, "torch": "2.14.1"})
    new = replace(HERE, software={"nst": present, "torch": "2.14.1"})
    sentences = list(old.differences(new))
    assert len(sentences) == bool(ending)
    assert all(sentence.startswith("the recipe was written by " + ending) for sentence in sentences)
    is_changed = "whose" in ending
    assert any("differently" in sentence for sentence in sentences) == is_changed
    assert bool(old.engine_note) == is_changed


def test_of_several_painters_each_is_named_once(photo: Image.Image) -> None:
    recipe = new_recipe(photo, [photo], SMALL, HERE)
    first, second = recipe.passages[0], replace(recipe.passages[0], iteration=2, painted_by=1)
    mixed = replace(
        recipe, passages=(first, second, second), provenance=(HERE, replace(HERE, threads=3))
    )
    assert mixed.differences(recipe) == [
        "a part of the recipe was painted with 3 threads, this machine uses 2;"
        " set OMP_NUM_THREADS=3 for the same picture"
    ]


def test_recipes_of_version_1_are_read_and_repainted(
    engine: Engine, photo: Image.Image, painting: Image.Image
) -> None:
    job = Job(photo, [painting], SMALL, engine=engine)
    list(job.run())
    old = parse_recipe(version_1(job.recipe()))
    software = {"nst": "0.1.0", "torch": "2.14.1"}
    assert old.provenance == (Provenance("cpu", software=software),)
    *_, last = repaint(old, photo, [painting], engine=engine)
    assert job.moment
    assert last.image.tobytes() == job.moment.picture.tobytes()
    assert parse_recipe(old.to_text()) == old, "written anew, it is a recipe of this version"
    here = new_recipe(photo, [painting], SMALL, HERE)
    assert old.differences(here) == list(old.provenance[0].differences(HERE))


@pytest.mark.usefixtures("engine", "threads")
def test_the_command_line_warns_of_another_number_of_threads(
    tmp_path: Path, make_picture: MakePicture, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(tmp_path / f"{name}.png") for name in ("photo", "painting", "out", "again")]
    photo, painting, out, again = paths
    make_picture(80, 60).save(photo)
    make_picture(50, 70).save(painting)
    small = ["--size", "64", "--iterations", "2", "--json"]

    def told(*arguments: str) -> Sequence[str]:
        assert main([photo, painting, "-o", *arguments, "--json"]) == 0
        return capsys.readouterr().err.splitlines()

    torch.set_num_threads(2)
    told(out, *small)
    assert read_recipe(out).provenance[0].threads == 2
    assert told(again, "--recipe", out) == []
    torch.set_num_threads(1)
    assert told(again, "--recipe", out) == [
        "nst: the recipe was painted with 2 threads, this machine uses 1;"
        " set OMP_NUM_THREADS=2 for the same picture; the result may differ"
    ]
    assert read_recipe(again).provenance[0].threads == 1, "what painted it now"
    save_png(load_image(out), out, {KEYWORD: version_1(read_recipe(out))})
    (only,) = told(again, "--recipe", out)  # version 1 does not tell its threads
    assert only.startswith("nst: the recipe was written by version 0.1.0, whose engine paints ")
