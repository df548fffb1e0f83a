"""The studio in a real Chromium: real clicks, and real runs of a tiny network."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import av
import pytest
from PIL import Image, ImageStat
from playwright.sync_api import Page, expect

from helpers.browsing import (
    AFTER,
    LONG,
    Visit,
    choose_example,
    choose_look,
    downloaded,
    downloaded_file,
    finish,
    move_slider,
    number_of,
    open_fold,
    screenshot,
    set_slider,
    start,
    status,
    stop,
    upload,
    wait_for_iteration,
    wait_for_transitions,
)
from helpers.pictures import MakePicture
from helpers.places import EXAMPLES
from helpers.proxy import wire_to
from helpers.server import free_port, planted, running_server
from helpers.tiny_network import SERVED
from helpers.waiting import until
from nst import load_image
from nst.images.recipe import Recipe, read_recipe

pytestmark = pytest.mark.browser

BRIDGE = EXAMPLES / "content" / "bridge.jpg"
NIGHT = EXAMPLES / "style" / "starry_night.jpg"
WAVES = EXAMPLES / "style" / "great_wave.jpg"
BRING_BACK = "input[data-testid^='Settings from a picture']"
LINK = "dialog.link [readonly]"


def button(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def painted_again(result: bytes, content: Path, styles: Sequence[Path], folder: Path) -> bool:
    """Whether the command line reproduces a picture from its recipe, bit for bit."""
    (folder / "result.png").write_bytes(result)
    words = ["--recipe", "result.png", content, *styles, "-o", "again.png"]
    threads = {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    same_network = planted(folder, SERVED)
    subprocess.run(
        [sys.executable, "-m", "nst", *map(str, words)],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **threads, **same_network},
        check=True,
        capture_output=True,
        timeout=LONG / 1000,
    )
    again = load_image(folder / "again.png")
    return again.tobytes() == load_image(result).tobytes()


def test_a_run_is_edited_while_it_goes_on(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    start(page, size=96, iterations=1000)
    before = wait_for_iteration(page, 3)
    move_slider(page, "Style weight β", "10")
    expect(page.locator(".marks")).to_contain_text("β 1 → 10", timeout=LONG)
    after = wait_for_iteration(page, before + 2)  # it did not begin again
    set_slider(page, "λ relu1_1", 0)
    expect(page.locator(".marks")).to_contain_text("λ relu1_1 1 → 0", timeout=LONG)
    smoothness = number_of(page, "Smoothness")
    smoothness.click()
    smoothness.fill("2")
    smoothness.press("Tab")
    expect(page.locator(".marks")).to_contain_text("smoothness 0 → 2", timeout=LONG)
    choose_example(page, "style", "Under the Wave")
    expect(page.locator(".marks")).to_contain_text("another painting", timeout=LONG)
    screenshot(page, "edited_1280")
    wait_for_iteration(page, after + 5)
    set_slider(page, "Iterations", 980)  # far ahead, however fast the machine is
    status(page, "of 980")
    stop(page)
    status(page, "Stopped after")

    result = downloaded_file(page)
    recipe = read_recipe(result)
    begins = [passage.iteration for passage in recipe.passages]
    assert begins == sorted(set(begins))
    assert len(begins) == 6
    assert before <= begins[1] <= after
    assert [passage.settings.beta for passage in recipe.passages] == [1, *[10] * 5]
    assert [passage.settings.total_variation for passage in recipe.passages] == [0, 0, 0, 2, 2, 2]
    assert "relu1_1" not in recipe.settings.style_layers
    assert [passage.styles for passage in recipe.passages] == [*[(0,)] * 4, (1,), (1,)]
    assert painted_again(result, BRIDGE, [NIGHT, WAVES], tmp_path)


def test_every_way_to_move_a_control_reaches_the_run(visit: Visit) -> None:
    page = visit()
    start(page, size=96, iterations=900)
    wait_for_iteration(page, 2)
    move_slider(page, "Style weight β", "10")
    expect(page.locator(".marks")).to_contain_text("β 1 → 10", timeout=LONG)
    page.get_by_label("Reset Style weight β").click()
    expect(page.locator(".marks")).to_contain_text("β 10 → 1", timeout=LONG)
    box = number_of(page, "Iterations")
    box.click()
    box.press("Control+a")
    box.press_sequentially("800")  # 8 and 80 on the way must not end the run
    box.press("Tab")
    expect(page.locator(".marks")).to_contain_text("iterations 900 → 800", timeout=LONG)
    choose_look(page, "Light touch")
    expect(page.locator(".marks")).to_contain_text("α 1 → 10", timeout=LONG)
    number_of(page, "λ relu2_1").fill("")
    number_of(page, "λ relu2_1").press_sequentially("2.5")
    expect(page.locator(".marks")).to_contain_text("→ 2.5", timeout=LONG)
    choose_example(page, "content", "Moose")
    expect(page.locator(".toast-body")).to_contain_text("for the next picture", timeout=LONG)
    page.locator(BRING_BACK).set_input_files(BRIDGE)
    expect(page.locator(".toast-body").last).to_contain_text("stop it first", timeout=LONG)
    page.mouse.wheel(0, 600)
    page.wait_for_function("scrollY > 500")
    stage = page.locator("#stage").bounding_box()
    assert stage
    assert stage["y"] >= 0  # it stays in sight beside the sliders, which have moved on by 600
    page.get_by_role("button", name=re.compile("^Delete the picture")).click()
    status(page, "Deleted.")
    expect(page.locator("#gallery .card")).to_have_count(0)
    expect(page.get_by_role("button", name="Stylize", exact=True)).to_be_enabled()


def test_what_was_stopped_in_line_leaves_no_empty_card(visit: Visit) -> None:
    first, second = visit(), visit()
    start(first, size=96, iterations=900)
    wait_for_iteration(first, 1)
    start(second, size=64, iterations=3)
    status(second, "In the queue: 1 picture is before yours")
    stop(second)
    status(second, "Stopped before the first picture")
    expect(second.locator("#gallery .card")).to_have_count(0)
    stop(first)
    status(first, "Stopped after")


def test_a_picture_is_continued_enlarged_and_branched(visit: Visit) -> None:
    page = visit()
    finish(page)
    small = downloaded(page)
    button(page, "30 more iterations")
    status(page, "34 of 34 iterations")
    expect(page.get_by_label("number input for Iterations")).to_have_value("4")  # the visitor's
    better = downloaded(page)
    assert better.size == small.size
    assert better.tobytes() != small.tobytes()
    button(page, "2× larger")
    status(page, "70 of 70 iterations, 128×")
    large = downloaded(page)
    assert large.size == (2 * small.width, round(2 * small.width * 750 / 1024))
    button(page, "Keep a copy")
    cards = page.locator("#gallery .card")
    expect(cards).to_have_count(2)
    button(page, "1.5× larger")
    status(page, "106 of 106 iterations, 192×")
    branch = read_recipe(downloaded_file(page))
    assert [p.settings.size for p in branch.passages] == [64, 64, 128, 192]
    cards.nth(1).get_by_role("button", name=re.compile("^picture of", re.I)).click()
    status(page, "70 of 70 iterations, 128×")
    assert downloaded(page).tobytes() == large.tobytes()


def test_a_contact_sheet_is_painted_and_a_tile_goes_on(visit: Visit) -> None:
    page = visit()
    set_slider(page, "Size", 128)
    set_slider(page, "Iterations", 5)
    open_fold(page, "sheet")
    button(page, "Make a contact sheet")
    expect(page.locator("#tiles")).to_contain_text("Click a tile", timeout=LONG)
    tiles = page.locator("#tiles .tiles button")
    expect(tiles).to_have_count(9)
    expect(tiles.first).to_contain_text("Style weight β 0.25, Style scale 0.3")
    sources = [tiles.nth(index).locator("img").get_attribute("src") for index in range(9)]
    assert len(set(sources)) == 9
    screenshot(page, "sheet_1280")
    tiles.nth(6).click()
    expect(page.get_by_label("number input for Style weight β")).to_have_value("4")
    status(page, "25 of 25 iterations")
    recipe = read_recipe(downloaded_file(page))
    assert [(p.iteration, p.settings.size) for p in recipe.passages] == [(0, 160), (20, 128)]
    assert {(p.settings.beta, p.settings.style_scale) for p in recipe.passages} == {(4.0, 0.3)}


def test_colours_are_dialled_at_once(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    finish(page, size=96, iterations=6)
    verdict = page.locator("#status").inner_text()
    painted = downloaded(page)
    for value, reference in (("-1", BRIDGE), ("1", NIGHT)):
        shown = page.locator(AFTER).get_attribute("src")
        move_slider(page, "Colours", value)
        expect(page.locator(AFTER)).not_to_have_attribute("src", str(shown), timeout=LONG)
        result = downloaded_file(page)
        dialled = load_image(result)
        wanted = mean(load_image(reference), "YCbCr")[1:]
        before, after = (mean(picture, "YCbCr")[1:] for picture in (painted, dialled))
        assert distance(after, wanted) < 3
        assert distance(after, wanted) <= max(1.0, distance(before, wanted))  # levels of 255
        assert read_recipe(result).colors == float(value)
    assert page.locator("#status").inner_text() == verdict  # nothing was painted again
    assert painted_again(result, BRIDGE, [NIGHT], tmp_path)


def test_the_making_can_be_scrubbed_and_taken_home(visit: Visit) -> None:
    page = visit()
    finish(page, iterations=8)
    open_fold(page, "film")
    frame = page.locator("#timelapse img")
    last = frame.get_attribute("src")
    page.get_by_label("Moment of the run").fill("0")
    expect(frame).not_to_have_attribute("src", str(last))
    expect(page.locator("#timelapse output")).to_have_text("iteration 0")
    page.wait_for_function("document.querySelector('#timelapse img').naturalWidth === 64")
    page.locator("#timelapse .play").click()
    expect(page.locator("#timelapse output")).to_have_text("iteration 8", timeout=LONG)
    with av.open(io.BytesIO(downloaded_file(page, "Timelapse MP4")), "r") as video:
        assert len(list(video.decode(video=0))) >= 5
    for name in ("WebP", "GIF"):
        with Image.open(io.BytesIO(downloaded_file(page, f"Timelapse {name}"))) as film:
            assert film.format == name.upper()
            assert getattr(film, "n_frames", 1) >= 5


def test_a_recipe_restores_every_control(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    choose_look(page, "Heavy paint")
    choose_example(page, "content", "Moose")
    expect(page.get_by_label("number input for Style weight β")).to_have_value("5")
    set_slider(page, "λ relu4_1", "2.5")
    finish(page, size=80, iterations=3)
    result = tmp_path / "stylized.png"
    result.write_bytes(downloaded_file(page))

    other = visit()
    other.locator(BRING_BACK).set_input_files(result)
    status(other, "The settings of that picture are back")
    assert controls_of(other) == controls_of(page)
    expect(other.get_by_label("number input for Content weight α")).to_have_value("0.5")
    start_as_it_is(other)
    status(other, "Finished after")
    assert downloaded(other).tobytes() == load_image(result).tobytes()

    dropped = visit()
    drop(dropped, result.read_bytes())
    status(dropped, "The settings of that picture are back")
    assert controls_of(dropped) == controls_of(page)
    drop(dropped, (EXAMPLES / "results.jpg").read_bytes())  # it has no recipe: it is a photo
    uploaded = re.compile("^gradio_api/file=")
    expect(dropped.locator("#content img.chosen")).to_have_attribute("src", uploaded, timeout=LONG)


def textures(page: Page) -> list[str]:
    """What is shown beside the usual layers."""
    shown: list[str] = page.locator("#layers img.texture").evaluate_all(
        "pictures => pictures.map((picture) => picture.src)"
    )
    return shown


def test_the_textures_are_those_of_the_last_choice(visit: Visit) -> None:
    page, other = visit(), visit()
    for each in (page, other):
        open_fold(each, "layers")
        expect(each.locator("#layers img.texture")).to_have_count(5, timeout=LONG)
    before = textures(page)
    page.locator("button[data-name=udnie]").click()
    page.locator("button[data-name=shipwreck]").click()
    other.locator("button[data-name=shipwreck]").click()
    until(lambda: len(textures(other)) == 5 and textures(other) != before, "its textures")
    until(lambda: textures(page) == textures(other), "those of the painting chosen last")


def test_the_picture_comes_in_three_formats_with_its_recipe(visit: Visit) -> None:
    page = visit()
    finish(page, size=96, iterations=3)
    recipes = set()
    for kind in ("PNG", "JPEG", "WebP"):
        with page.expect_download(timeout=LONG) as download:
            page.get_by_role("link", name=f"Download {kind}", exact=True).click()
        ending = {"JPEG": "jpg"}.get(kind, kind.lower())
        name = f"bridge-in-the-style-of-starry-night.{ending}"
        assert download.value.suggested_filename == name
        data = Path(download.value.path()).read_bytes()
        recipes.add(read_recipe(data).to_text())
        assert load_image(data).size == (96, 70)
    assert len(recipes) == 1


def test_a_hostile_recipe_gets_a_sentence(
    visit: Visit, tmp_path: Path, make_picture: MakePicture
) -> None:
    from PIL.PngImagePlugin import PngInfo

    page = visit()
    markup = '{"version": 1, "content": "<img src=x onerror=alert(1)>"}'
    hostile = {'{"version": 99}': "newer version", "[" * 10_000: "damaged", markup: "not one that"}
    for number, (text, sentence) in enumerate(hostile.items()):
        chunk = PngInfo()
        chunk.add_text("nst-recipe", text)
        path = tmp_path / f"{number}.png"
        make_picture().save(path, pnginfo=chunk)
        page.locator(BRING_BACK).set_input_files(path)
        expect(page.locator(".toast-body").last).to_contain_text(sentence, timeout=LONG)
        expect(page.locator("#status")).to_contain_text(sentence)
    assert page.locator("#status img").count() == 0


def test_a_reload_finds_the_run_where_it_is(visit: Visit, make_picture: MakePicture) -> None:
    page, stranger = visit(is_cut_off=True), visit(is_cut_off=True)
    start(page, size=96, iterations=1000)
    before = wait_for_iteration(page, 3)
    page.reload()
    after = wait_for_iteration(page, before)
    assert page.get_by_label("number input for Iterations").input_value() == "1000"
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_enabled()
    assert wait_for_iteration(page, after + 3) > after
    stranger.reload()
    expect(stranger.locator("#gallery")).to_contain_text("kept here")
    assert stranger.locator("#gallery .card").count() == 0
    stop(page)
    status(page, "Stopped after")
    picture = downloaded(page).tobytes()
    page.reload()
    status(page, "Stopped after")
    assert downloaded(page).tobytes() == picture
    page.get_by_role("button", name=re.compile("^Delete the picture")).click()
    status(page, "Deleted")
    expect(page.locator("#gallery .card")).to_have_count(0)


def test_a_lost_network_loses_nothing(visit: Visit, tmp_path: Path) -> None:
    port = free_port()
    with running_server(tmp_path, port=port, grace=300.0, plant=SERVED), wire_to(port) as wire:
        page = visit(url=wire.url, is_cut_off=True)
        start(page, size=96, iterations=1000)
        before = wait_for_iteration(page, 3)
        wire.cut()
        lost = page.get_by_text("The connection is lost").filter(visible=True)
        expect(lost).to_have_text(re.compile("Your picture is still being painted"), timeout=LONG)
        wire.mend()
        expect(lost).to_have_count(0, timeout=LONG)
        after = wait_for_iteration(page, before)
        wait_for_iteration(page, after + 2)
        stop(page)
        status(page, "Stopped after")
        expect(page.locator("#gallery .card")).to_have_count(1)
        recipe = read_recipe(downloaded_file(page))
        assert [passage.iteration for passage in recipe.passages] == [0]
        assert recipe.iterations >= after + 2


def test_a_killed_server_comes_back_with_the_last_checkpoint(visit: Visit, tmp_path: Path) -> None:
    port = free_port()
    with running_server(tmp_path, port=port, plant=SERVED) as first:
        page = visit(url=first.url, is_cut_off=True)
        start(page, size=96, iterations=1000)
        expect(page.locator("#gallery .card")).to_have_count(1, timeout=LONG)
        wait_for_checkpoint(tmp_path)
        first.kill()
    with running_server(tmp_path, port=port, plant=SERVED):
        status(page, "The server was restarted meanwhile")  # the page comes back by itself
        done = read_recipe(downloaded_file(page)).iterations
        assert done > 0
        button(page, "30 more iterations")
        status(page, f"{done + 30} of {done + 30} iterations")
        recipe = read_recipe(downloaded_file(page))
        assert [passage.iteration for passage in recipe.passages] == [0, done]


def test_a_link_opens_the_same_in_another_browser(visit: Visit) -> None:
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose_example(page, "content", "A cup of espresso")
    choose_example(page, "style", "Clouds over the orchard")
    choose_look(page, "Light touch")
    expect(page.get_by_label("number input for Content weight α")).to_have_value("10")
    finish(page, size=80, iterations=3)
    button(page, "Copy link")
    field = page.locator(LINK)
    expect(field).to_have_value(re.compile("^http://127.*result="), timeout=LONG)
    link = field.input_value()
    assert page.evaluate("navigator.clipboard.readText()") == link
    friend = visit(url=link, is_cut_off=True)  # a reload ends its streams
    status(friend, "A picture from a link")
    friend.reload()
    status(friend, "A picture from a link")  # a followed link outlives a reload
    assert controls_of(friend) == controls_of(page)
    assert load_image(downloaded_file(friend)).tobytes() == downloaded(page).tobytes()
    start_as_it_is(friend)
    status(friend, "Finished after")
    assert downloaded(friend).tobytes() == downloaded(page).tobytes()
    friend.reload()
    status(friend, "Finished after")  # their own picture, and not the link's once more
    stale = visit(path="/?beta=loud")
    status(stale, "The link cannot be followed: beta must be a number")


def test_an_uploaded_picture_is_not_in_the_link(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    upload(page, "content", EXAMPLES / "results.jpg")
    button(page, "Copy link")
    field = page.locator(LINK)
    expect(field).to_have_value(re.compile("style=starry_night"), timeout=LONG)
    assert "content=" not in field.input_value()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_an_ended_picture_fits_and_reads_well(visit: Visit, width: int, dark: bool) -> None:
    page = visit(width, dark=dark)
    start(page, size=96, iterations=900)  # which pauses, so that it is steered on any machine
    before = wait_for_iteration(page, 4)
    move_slider(page, "Style weight β", "3")
    wait_for_iteration(page, before + 4)
    page.get_by_role("button", name="Stop", exact=True).click()
    status(page, "Stopped after")
    for fold in ("film", "explain", "sheet", "layers"):
        open_fold(page, fold)
    expect(page.locator("#layers img.texture")).to_have_count(5, timeout=LONG)
    wait_for_transitions(page)
    screenshot(page, f"studio_{width}_{'dark' if dark else 'light'}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_findings(page) == []


def serious_findings(page: Page) -> list[tuple[str, str]]:
    from axe_playwright_python.sync_playwright import Axe

    return [
        (violation["id"], node["html"])
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def controls_of(page: Page) -> dict[str, str]:
    """Every control's label and value, hidden ones too."""
    values: dict[str, str] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(
            "#controls input")]
            .map((input, index) => [
                index + " " + (input.getAttribute("aria-label") || input.name || input.type),
                input.type === "radio" ? String(input.checked) : input.value]))"""
    )
    return values


def start_as_it_is(page: Page) -> None:
    page.get_by_role("button", name="Stylize", exact=True).click()


def drop(page: Page, data: bytes) -> None:
    """A file dropped on the heading, as from the desktop."""
    page.evaluate(
        """([text]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "stylized.png", {type: "image/png"}));
            const event = {bubbles: true, cancelable: true, dataTransfer: transfer};
            document.querySelector("h1").dispatchEvent(new DragEvent("drop", event));
        }""",
        [base64.b64encode(data).decode()],
    )


def wait_for_checkpoint(folder: Path) -> Recipe:
    """Wait until a job's picture with some iterations behind it is on disk."""
    deadline = time.monotonic() + LONG / 1000
    while time.monotonic() < deadline:
        for path in folder.glob("*/picture.png"):
            recipe = read_recipe(path)
            if recipe.iterations > 5:
                return recipe
        time.sleep(0.05)
    raise AssertionError("there was no checkpoint")


def mean(picture: Image.Image, mode: str = "RGB") -> list[float]:
    return list(ImageStat.Stat(picture.convert(mode)).mean)


def distance(a: list[float], b: list[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))
