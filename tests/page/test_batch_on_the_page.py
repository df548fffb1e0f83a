"""Several photos as one batch, in a real Chromium on a tiny network."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from helpers.browsing import (
    AFTER,
    LONG,
    Visit,
    choose_example,
    downloaded_file,
    screenshot,
    set_slider,
    start,
    status,
    stop,
    wait_for_transitions,
)
from helpers.pictures import MakePicture
from helpers.places import EXAMPLES
from helpers.server import free_port, running_server
from helpers.tiny_network import SERVED
from nst.images.recipe import read_recipe

pytestmark = pytest.mark.browser

TRAY = "#tray .photo-tray"
TILES = "#stage .batch li"


@pytest.fixture
def photos(tmp_path: Path, make_picture: MakePicture) -> list[Path]:
    """Three photos; two of them have the same name but for its ending."""
    paths = [tmp_path / name for name in ("beach.png", "Hill & dale.jpg", "beach.jpg")]
    for seed, path in enumerate(paths):
        make_picture(96 if seed else 64, 72, seed).save(path)
    return paths


def choose(page: Page, photos: list[Path]) -> Locator:
    """Choose several files for the photo, and wait until all are in the tray."""
    page.locator("#content input[type=file]").set_input_files(photos)
    tray = page.locator(TRAY)
    expect(tray.locator(".count")).to_have_text(re.compile(rf"{len(photos)} of 20"), timeout=LONG)
    return tray


def zipped(page: Page) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(downloaded_file(page, "Download all (zip)"))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_several_photos_become_pictures_in_one_go(visit: Visit, photos: list[Path]) -> None:
    page = visit()
    tray = choose(page, photos)
    expect(page.locator("#content .label")).to_contain_text("3 photos")
    expect(page.locator("#estimate")).to_contain_text("3 photos will take about", timeout=LONG)
    start(page, size=64, iterations=4)
    status(page, "Finished: 3 photos in")
    expect(page.locator(TILES)).to_have_count(3)
    files = zipped(page)
    assert sorted(files) == [
        "Hill & dale-stylized.png",
        "beach-2-stylized.png",
        "beach-stylized.png",
    ]
    for data in files.values():
        assert read_recipe(data).iterations == 4
    card = page.locator("#gallery .card")
    expect(card).to_have_count(1)
    expect(card).to_contain_text("finished, 3 of 3 photos")

    page.reload()
    status(page, "Finished: 3 photos in")
    expect(tray.locator("li img")).to_have_count(3)
    page.get_by_role("button", name="Open the picture of beach.jpg").click()
    expect(page.locator("#finish")).to_be_visible(timeout=LONG)
    expect(page.locator(AFTER)).to_be_visible()
    expect(page.locator("#gallery .card")).to_have_count(2)
    expect(page.locator("#estimate")).to_contain_text("It will take about")
    page.get_by_role("button", name="All 3 photos").click()
    status(page, "Finished: 3 photos in")
    expect(page.locator("#estimate")).to_contain_text("3 photos")
    set_slider(page, "Size", 96)
    page.locator("#gallery .card:not(.batch)").get_by_role("button", name="Picture").first.click()
    expect(page.locator("#finish")).to_be_visible(timeout=LONG)
    expect(page.get_by_role("button", name="All 3 photos")).to_be_hidden()
    page.locator("#gallery .card.batch").get_by_role("button", name="Batch").first.click()
    status(page, "Finished: 3 photos in")


def test_the_tray_and_the_tiles_are_accessible_in_any_light(
    visit: Visit, photos: list[Path]
) -> None:
    for width, dark in ((1280, False), (390, True)):
        page = visit(width, dark=dark)
        name = f"{width}_{'dark' if dark else 'light'}"
        choose(page, photos)
        wait_for_transitions(page)
        screenshot(page, f"batch_tray_{name}")
        assert violations(page) == []
        start(page, size=64, iterations=1000)
        expect(page.locator(f"{TILES}[data-state=running] .text")).to_contain_text(
            re.compile(r"\d+ of 1000"), timeout=LONG
        )
        wait_for_transitions(page)
        screenshot(page, f"batch_painting_{name}")
        assert violations(page) == []
        stop(page)
        status(page, "Stopped: 0 of 3 photos painted")
        set_slider(page, "Iterations", 2)
        page.get_by_role("button", name="Stylize", exact=True).click()
        status(page, "Finished: 3 photos")
        wait_for_transitions(page)
        screenshot(page, f"batch_finished_{name}")
        assert violations(page) == []
        page.context.close()


def test_the_tray_is_kept_by_keyboard_and_by_undo(
    visit: Visit, photos: list[Path], tmp_path: Path
) -> None:
    page = visit()
    fake = tmp_path / "fake.jpg"
    fake.write_text("not a picture")
    page.locator("#content input[type=file]").set_input_files([*photos, fake])
    tray = page.locator(TRAY)
    expect(tray.locator(".count")).to_have_text("3 of 20 photos", timeout=LONG)
    expect(tray.locator(".said")).to_contain_text(
        "fake.jpg is left out. This is not a picture that can be read"
    )
    tray.get_by_role("button", name="Remove Hill & dale.jpg").press("Enter")
    expect(tray.locator(".count")).to_have_text("2 of 20 photos")
    expect(tray.get_by_role("button", name="Remove beach.jpg")).to_be_focused()
    choose_example(page, "content", "Moose")  # joins them
    expect(tray.locator(".count")).to_have_text("3 of 20 photos")
    expect(page.locator("#estimate")).to_contain_text("3 photos")
    undo, redo = (page.locator(f"#bar [data-act={act}]") for act in ("undo", "redo"))
    undo.click()  # which completes the step: quick changes would be one
    redo.click()
    expect(redo).to_be_disabled()
    expect(tray.locator(".count")).to_have_text("3 of 20 photos")
    tray.get_by_role("button", name="Back to one photo").press("Enter")
    expect(tray).to_be_hidden()
    expect(page.locator("#content .label")).to_contain_text("Photo")
    undo.click()
    expect(tray.locator("li img")).to_have_count(3)
    tray.locator("input[type=file]").set_input_files(photos * 6)
    expect(tray.locator(".count")).to_have_text("20 of 20 photos", timeout=LONG)
    expect(tray.locator(".said")).to_contain_text("at most 20 photos: 1 is left out")
    expect(tray.get_by_role("button", name="Add photos")).to_have_count(0)


def test_what_was_stopped_goes_on_and_is_one_card(visit: Visit, photos: list[Path]) -> None:
    page = visit()
    choose(page, photos * 3)
    start(page, size=64, iterations=60)
    expect(page.locator(f"{TILES}[data-state=done]").first).to_be_visible(timeout=LONG)
    stop(page)
    status(page, "of 9 photos painted")
    done = page.locator(f"{TILES}[data-state=done]").count()
    assert 1 <= done < 9
    assert len(zipped(page)) == done
    page.reload()
    status(page, f"Stopped: {done} of 9 photos painted")
    page.get_by_role("button", name=f"Continue with the {9 - done} that are left").click()
    status(page, "Finished: 9 photos in")
    expect(page.locator(f"{TILES}[data-state=done]")).to_have_count(9)
    card = page.locator("#gallery .card")
    expect(card).to_have_count(1)
    card.get_by_role("button", name="Delete the batch").click()
    expect(card).to_have_count(0)
    expect(page.locator(TILES)).to_have_count(0)
    page.get_by_role("button", name="Bring it back").click()
    expect(card).to_have_count(1)


def test_a_killed_server_leaves_what_is_done_and_goes_on_with_the_rest(
    visit: Visit, photos: list[Path], tmp_path: Path
) -> None:
    port, jobs = free_port(), tmp_path / "jobs"
    with running_server(jobs, port=port, plant=SERVED) as first:
        page = visit(url=first.url, is_cut_off=True)
        choose(page, photos * 3)
        start(page, size=64, iterations=60)
        expect(page.locator(f"{TILES}[data-state=done]").first).to_be_visible(timeout=LONG)
        first.kill()
    with running_server(jobs, port=port, plant=SERVED):
        status(page, "The server was restarted meanwhile")  # the page comes back by itself
        done = page.locator(f"{TILES}[data-state=done]").count()
        assert 1 <= done < 9
        page.get_by_role("button", name=f"Continue with the {9 - done}").click()
        status(page, "Finished: 9 photos in")
        assert len(zipped(page)) == 9


def violations(page: Page) -> list[str]:
    page.mouse.move(2, 2)  # a button under it has other colours, or is about to
    wait_for_transitions(page)
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def test_faces_are_protected_in_each_photo(visit: Visit, photos: list[Path]) -> None:
    page = visit(390)
    tray = choose(page, [EXAMPLES / "content" / "astronaut.jpg", photos[0]])
    box = page.get_by_label("Protect the faces in each photo")
    box.check()
    wait_for_transitions(page)
    tray.scroll_into_view_if_needed()
    screenshot(page, "tray_faces_390")
    start(page, size=64, iterations=4)
    status(page, "Finished: 2 photos in")
    files = zipped(page)
    regions = {name: read_recipe(data).regions for name, data in files.items()}
    assert [mask is not None for mask in regions["astronaut-stylized.png"]] == [False, True]
    assert not any(regions["beach-stylized.png"])
    page.reload()
    expect(page.get_by_label("Protect the faces in each photo")).to_be_checked(timeout=LONG)
