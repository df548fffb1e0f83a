"""How quickly the page answers: `python -m benchmarks.studio` (a few minutes; needs Chromium).

- reaction: from moving a slider in the browser to the first evaluation under the new objective,
  beside the time of one iteration;
- re-attaching: from reloading the page in the middle of a run to its progress being shown;
- contact sheet: nine tiles beside nine runs of the same settings one after another, in pairs;
- opening the page with one of the visitor's pictures kept, and with fifty, in pairs.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.example_pictures import painting_path, photo_path
from benchmarks.served import CHROMIUM_FLAGS, move_slider, set_slider
from nst import TransferSettings, load_image, transfer_style
from nst.console import run_command
from nst.engine.contact_sheet import paint_sheet, plan_sheet
from nst.engine.devices import load_network
from nst.studio.forecast import seconds_per_pixel
from nst.studio.job import Job
from nst.studio.workshop import Workshop
from page.examples import ExampleSet
from page.layout import build_demo
from page.serving import launch_options

PHOTO = photo_path("castle")
PAINTING = painting_path("night_impasto")
LONG = 120_000  # milliseconds
KEPT_JOBS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--size", type=int, default=384, help="pixels of the run (default: 384)")
    parser.add_argument("--repeats", type=int, default=7, help="of everything (default: 7)")
    options = parser.parse_args()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    measure_sheet(options.repeats)
    with tempfile.TemporaryDirectory() as folder, a_page(Path(folder)) as (page, workshop, url):
        begin_run(page, url, options.size)
        measure_reaction(page, workshop, options.repeats)
        measure_reattaching(page, options.repeats)
        page.get_by_role("button", name="Stop", exact=True).click()
        page.locator("#status").get_by_text("Stopped after").wait_for(timeout=LONG)
        measure_opening(page, url, Path(folder), options.repeats)


def measure_sheet(repeats: int) -> None:
    """Nine tiles at once, and one after another."""
    photo, painting = load_image(PHOTO), load_image(PAINTING)
    grid = plan_sheet(TransferSettings(), "beta", "style_scale")
    ratios, seconds = [], []
    for _ in range(max(3, repeats // 2)):
        began = time.perf_counter()
        deque(paint_sheet(photo, [painting], grid), maxlen=0)
        together = time.perf_counter() - began
        began = time.perf_counter()
        for settings in (settings for row in grid for settings in row):
            deque(transfer_style(photo, painting, settings), maxlen=0)
        ratios.append(together / (time.perf_counter() - began))
        seconds.append(together)
    report("contact sheet, seconds", seconds)
    report("contact sheet beside nine single runs", ratios)


@contextmanager
def a_page(folder: Path) -> Iterator[tuple[Page, Workshop, str]]:
    """The page served by this process, so that its jobs can be looked at, and a browser on it."""
    seconds_per_pixel(load_network())
    workshop = Workshop(folder)
    examples = ExampleSet()
    demo = build_demo(workshop, examples)
    quiet = {"prevent_thread_lock": True, "quiet": True}
    _, url, _ = demo.launch(**launch_options(demo, workshop, examples), **quiet)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser.new_page(), workshop, url
        browser.close()
    demo.close()
    workshop.close()


def begin_run(page: Page, url: str, size: int) -> None:
    page.goto(url)
    page.locator("#stylize:enabled").wait_for(timeout=LONG)
    for name, value in (("Size", size), ("Iterations", 1000)):
        set_slider(page, name, value)
    page.get_by_role("button", name="Stylize", exact=True).click()
    wait_for_progress(page)


def wait_for_progress(page: Page) -> None:
    page.wait_for_function(
        "/Iteration \\d+ of/.test(document.querySelector('#status')?.innerText)", timeout=LONG
    )


def measure_reaction(page: Page, workshop: Workshop, repeats: int) -> None:
    """From the movement of a slider to the next passage of the job."""
    (job,) = (task for task in workshop._tasks if isinstance(task, Job))
    reactions, iterations = [], []
    pool = ThreadPoolExecutor(1)
    for index in range(repeats):
        time.sleep(2 + 0.3 * index)  # at another point of the iteration each time
        recent = [step.elapsed for step in job.steps[-6:]]
        iterations.append((recent[-1] - recent[0]) / (len(recent) - 1))
        began = time.perf_counter()
        moment: Future[float] = pool.submit(first_of_another_course, job)
        move_slider(page, "Style weight β", "3" if index % 2 else "0.3")
        reactions.append(moment.result(timeout=60) - began)
    report("one iteration, seconds", iterations)
    report("reaction to a slider, seconds", reactions)
    pairs = zip(reactions, iterations, strict=True)
    report("reaction less one iteration, seconds", [reaction - one for reaction, one in pairs])


def first_of_another_course(job: Job) -> float:
    """When a job reports its first evaluation under another choice than now."""
    passages = len(job.course)
    while len(job.course) == passages:
        time.sleep(0.001)
    return time.perf_counter()


def measure_reattaching(page: Page, repeats: int) -> None:
    """From a reload to the progress of the run."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        page.reload(wait_until="commit")
        wait_for_progress(page)
        seconds.append(time.perf_counter() - began)
    report("re-attaching after a reload, seconds", seconds)


def measure_opening(page: Page, url: str, folder: Path, repeats: int) -> None:
    """With the one picture that was painted, and with fifty."""
    (home,) = (record.parent for record in folder.glob("*-*/job.json"))
    owner = home.name.partition("-")[0]
    copies = [folder / f"{owner}-{secrets.token_hex(16)}" for _ in range(KEPT_JOBS - 1)]
    few, many = [], []
    for _ in range(repeats):
        few.append(seconds_to_open(page, url, cards=1))
        for copy in copies:
            shutil.copytree(home, copy)
        many.append(seconds_to_open(page, url, cards=KEPT_JOBS))
        for copy in copies:
            shutil.rmtree(copy)
    report("opening with one picture kept, seconds", few)
    report("opening with fifty, seconds", many)
    report("the latter to the former", [b / a for a, b in zip(few, many, strict=True)])


def seconds_to_open(page: Page, url: str, *, cards: int) -> float:
    """Until the page can be used and its gallery is there."""
    page.goto("about:blank")
    began = time.perf_counter()
    page.goto(url)
    page.wait_for_function(
        "n => document.querySelectorAll('#gallery .card').length >= n", arg=cards, timeout=LONG
    )
    page.get_by_role("button", name="Stylize", exact=True).wait_for()
    return time.perf_counter() - began


def report(name: str, values: list[float]) -> None:
    middle = statistics.median(values)
    print(f"{name}: median {middle:.3f} ({min(values):.3f} to {max(values):.3f})", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.studio"))
