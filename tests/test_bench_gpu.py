"""`make bench-gpu`: its table, its budget, and the whole script on a CPU, since no GPU is here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import gpu, timed_work
from benchmarks.gpu import Budget, Line, measure, plan, table
from benchmarks.timed_work import OURS, Deadline, Progress, Remark, Round, TimeIsUp, Work
from helpers.emulated_device import emulated_device
from helpers.places import ROOT
from helpers.tiny_network import MakeNetwork
from nst.vgg.network import VGG

WORK = Work(OURS, 64, 60)


def run_script(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_small_works_come_before_large_ones() -> None:
    works = plan([512, 1024, 4096], 500, None, 3)
    assert [(work.method, work.size, work.iterations) for work in works] == [
        (OURS, 512, 60),
        (OURS, 512, 500),
        (OURS, 1024, 60),
        ("pastiche", 512, 150),
        ("reference", 512, 100),
        (OURS, 4096, 60),
    ]
    assert [work.size for work in plan([4096], 500, 9, 3)] == [4096]
    assert len(plan([64], 0, 0, 1)) == 1
    with_graphs = plan([64, 4096], 24, 0, 3, ["graphs"])
    assert [(work.name, work.iterations, work.processes) for work in with_graphs] == [
        (OURS, 60, 3),
        ("ours with graphs", 60, 1),
        (OURS, 24, 1),
        ("ours with graphs", 24, 1),
        (OURS, 60, 1),
    ]


def test_the_table_has_medians_and_what_is_missing() -> None:
    rounds = [Round(True, 9.0, 26, 5.0, 900.0, 2e6, 1e6)]
    rounds += [Round(False, seconds, 26, 6.0, 800.0, 2e6, 1e6) for seconds in (2.0, 1.0, 4.0)]
    peer = Line(Work("pastiche", 64, 150), [Round(False, 7.0, 40, 5.7, None)])
    left_out = Line(Work(OURS, 4096, 60), remarks=[Remark("left out: the time budget is spent")])
    text = table([Line(WORK, rounds), peer, left_out], "Card, driver 1.2, torch 9", 33.3)
    assert text.startswith("Measured on Card, driver 1.2, torch 9, in 33 s")
    assert text.splitlines()[-4:] == [
        "| ours | 64 px | 60 | 9.00 s (1) | 2.00 s (3) | 26 | 6 | 900 MB | 2e+06 | 1e+06 |",
        "| pastiche | 64 px | 150 | – | 7.00 s (1) | 40 | 5.7 | – | – | – |",
        "",
        "- ours, 4096 px, 60 iterations: left out: the time budget is spent",
    ]


def test_pictures_with_and_without_an_option_are_compared() -> None:
    def line(options: str, *pictures: bytes) -> Line:
        rounds = [Round(False, 1.0, 26, 5.0, None, pixels=pixels) for pixels in pictures]
        work = replace(WORK, options=options, processes=1 if options else 3)
        return Line(work, rounds)

    plain, graphs = line("", b"\x00\x80\xff", b"\x00\x7f\xff"), line("graphs", b"\x03\x80\xff")
    (sentence,) = gpu.comparisons([plain, graphs, line("benchmark")])
    assert sentence == (
        "ours with graphs, 64 px, 60 iterations: values of its pictures differ by at most 3 of 255"
        " from those without; those differ by 1 among themselves"
    )
    assert sentence in table([plain, graphs], "Card", 1.0)
    assert list(gpu.comparisons([graphs])) == []


def test_options_are_those_of_a_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_CUDA", "tf32")
    seen = []

    def paint(work: Work, *_: object) -> None:
        seen.append(os.environ["NST_CUDA"])

    monkeypatch.setattr(timed_work, "_paint", paint)
    _, theirs = Pipe(duplex=False)
    for options in ("", "graphs"):
        timed_work.work_in_process(theirs, replace(WORK, options=options), "cpu", 60.0)
    assert seen == ["", "graphs"]


def test_a_card_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Card 9000/X")
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: memory)
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("torch.version.cuda", "1.2")
    assert gpu.describe("cuda").startswith("Card 9000/X, 80 GiB, driver unknown, CUDA 1.2, torch ")
    assert gpu._slug(gpu.device_name("cuda")) == "card-9000-x"


def test_what_does_not_fit_the_budget_is_not_begun() -> None:
    line = measure(WORK, "cpu", Budget(1.0), lambda text: None)
    assert (line.rounds, [remark.text for remark in line.remarks]) == (
        [],
        ["left out: the time budget is spent"],
    )


@pytest.mark.slow
def test_a_process_that_stays_too_long_is_ended() -> None:
    began = time.monotonic()
    news = list(gpu._run(WORK, "cpu", 0.2))  # it is still importing torch
    assert news == [Remark("ended: the time budget is spent")]
    assert time.monotonic() - began < 30


def test_a_work_says_how_far_it_got(monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    monkeypatch.setattr(timed_work, "load_network", lambda *_: network)
    monkeypatch.setattr(timed_work, "_judge", lambda *_: (2.0, 1.0))
    told: list[Round | Remark | Progress] = []
    timed_work._paint(Work(OURS, 64, 12, warm=2), "cpu", told.append, Deadline(600))
    rounds = [news for news in told if isinstance(news, Round)]
    assert [each.is_cold for each in rounds] == [True, False, False]
    assert all(each.evaluations >= 12 and each.pace > 0 for each in rounds)
    with pytest.raises(TimeIsUp, match="at iteration 0 of the cold picture"):
        timed_work._paint(WORK, "cpu", told.append, Deadline(0))


def test_graphs_that_were_given_up_are_told(monkeypatch: pytest.MonkeyPatch, network: VGG) -> None:
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    monkeypatch.setattr(timed_work, "load_network", lambda *_: network)
    monkeypatch.setattr(timed_work, "_judge", lambda *_: (2.0, 1.0))
    monkeypatch.setattr("nst.engine.cuda_graphs.shared_graphs.failure", "operation not permitted")
    told: list[Round | Remark | Progress] = []
    timed_work._paint(Work(OURS, 64, 2, warm=0), "cpu", told.append, Deadline(600))
    assert told[-1] == Remark("CUDA graphs were given up: operation not permitted", is_failure=True)


def test_on_cuda_memory_is_that_of_the_device(
    monkeypatch: pytest.MonkeyPatch, make_network: MakeNetwork
) -> None:
    calls: list[str] = []
    for name in ("reset_peak_memory_stats", "max_memory_allocated", "get_device_name"):
        monkeypatch.setattr(f"torch.cuda.{name}", _noting(calls, name))
    monkeypatch.setattr(timed_work, "_judge", lambda *_: (2.0, 1.0))
    told: list[Round | Remark | Progress] = []
    with emulated_device("cuda"):
        network = make_network(device="cuda")
        monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
        monkeypatch.setattr(timed_work, "load_network", lambda *_: network)
        timed_work._paint(Work(OURS, 64, 8, warm=1), "cuda", told.append, Deadline(600))
    rounds = [news for news in told if isinstance(news, Round)]
    assert rounds[0].pixels == rounds[1].pixels != b""
    assert [each.megabytes for each in rounds] == [3.0, 3.0]
    assert calls.count("reset_peak_memory_stats") == calls.count("max_memory_allocated") == 2


def _noting(calls: list[str], name: str) -> Callable[..., object]:
    def call(*_: object) -> object:
        calls.append(name)
        return "Card" if name == "get_device_name" else 3 * 2**20

    return call


def test_what_the_engine_refuses_is_told_in_its_own_sentence() -> None:
    mine, theirs = Pipe(duplex=False)
    timed_work.work_in_process(theirs, Work(OURS, 10**6, 60), "cpu", 60.0)
    (remark,) = [mine.recv()]
    assert remark.text.startswith("refused: size must be from ")
    assert not remark.is_failure


@pytest.mark.slow
def test_without_a_gpu_it_says_so() -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    for words in ((), ("--device", "cuda")):
        done = run_script(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.real
def test_the_whole_script_runs_on_a_cpu(tmp_path: Path) -> None:
    words = ["--device", "cpu", "--sizes", "64", "96", "--long-run", "24", "--rounds", "1"]
    words += ["--options", "graphs"]  # which a CPU does not know
    done = run_script(*words, "--peer-evaluations", "2", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (written,) = tmp_path.iterdir()
    assert written.name.startswith("cpu-")
    text = written.read_text(encoding="utf-8")
    assert text.strip() == done.stdout.strip()
    for row in ("ours | 64 px | 60", "ours | 64 px | 24", "ours | 96 px", "pastiche", "reference"):
        assert f"| {row}" in text
    same = "differ by at most 0 of 255 from those without; those differ by 0 among themselves"
    assert text.count(same) == 3
    assert "starting" in done.stderr
