"""The Film tab in a real Chromium, on a tiny network: from a clip to a film that is shared."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import urlsplit

import av
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from helpers.browsing import (
    LONG,
    PHOTO,
    Visit,
    downloaded_file,
    finish,
    screenshot,
    set_slider,
    wait_for_transitions,
)
from helpers.clips import write_frames, write_sound
from helpers.pictures import make_waves

pytestmark = pytest.mark.browser

PAINTED, FILMED = "#film-stage video.after", "#film-stage video.before"
# A camera whose picture a script draws.
CAMERA = """navigator.mediaDevices.getUserMedia = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [160, 120];
    const context = canvas.getContext("2d");
    setInterval(() => {
        context.fillStyle = `hsl(${performance.now() / 10} 80% 50%)`;
        context.fillRect(0, 0, 160, 120);
    }, 40);
    return Promise.resolve(canvas.captureStream(25));
};"""


def open_tab(page: Page) -> None:
    page.get_by_role("tab", name="Film").click()


def choose_clip(page: Page, clip: Path) -> None:
    """Choose a clip, and wait until the page knows how long it takes."""
    page.locator("#clip input[type=file]").set_input_files(clip)
    expect(page.locator("#clip .trim")).to_be_visible(timeout=LONG)
    expect(page.locator("#film-estimate")).to_contain_text("About", timeout=LONG)


def film_status(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("#film-status")).to_contain_text(text, timeout=LONG)


def stylize(page: Page) -> None:
    page.get_by_role("button", name="Stylize", exact=True).click()


def act(page: Page, name: str) -> Locator:
    return page.locator(f"#film-stage [data-act={name}]")


def wait_until_played(page: Page, seconds: float) -> None:
    page.wait_for_function(
        "([film, least]) => document.querySelector(film).currentTime >= least",
        arg=[PAINTED, seconds],
        timeout=LONG,
    )


def times(page: Page) -> list[float]:
    """Where both players are."""
    found: list[float] = page.evaluate(
        "(names) => names.map((name) => document.querySelector(name).currentTime)",
        [PAINTED, FILMED],
    )
    return found


def frames_in(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r") as film:
        return len(list(film.decode(video=0)))


def axe_findings(page: Page) -> list[tuple[str, str]]:
    wait_for_transitions(page)
    return [
        (violation["id"], node["html"])
        for violation in Axe().run(page).response["violations"]
        for node in violation["nodes"]
    ]


def test_a_clip_becomes_a_film_that_is_compared_downloaded_and_shared(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit()
    page.get_by_role("tab", name="Picture").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Film")).to_be_focused()
    expect(page.get_by_role("tab", name="Film")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#content")).to_be_hidden()
    choose_clip(page, write_frames(tmp_path / "clip.mp4", 24, size=(192, 128), rate=12))
    expect(page.locator("#film-estimate")).to_contain_text("24 frames")

    # The handles: by key, and the stage shows the frame.
    end = page.get_by_role("slider", name="End")
    end.press("PageDown")
    expect(end).to_have_attribute("aria-valuetext", "1.0 s")
    expect(page.locator("#film-estimate")).to_contain_text("12 frames", timeout=LONG)
    assert page.locator(PAINTED).evaluate("video => video.currentTime") == pytest.approx(1, abs=0.1)
    page.locator("#clip select[name=rate]").select_option("8")
    expect(page.locator("#film-estimate")).to_contain_text("8 frames", timeout=LONG)

    set_slider(page, "Iterations", 4)
    stylize(page)
    film_status(page, re.compile(r"Frame \d of 8"))
    expect(page.locator("#film-stage .still")).to_be_visible(timeout=LONG)
    film_status(page, "Finished: 8 frames")
    expect(page.locator(PAINTED)).to_be_visible(timeout=LONG)

    # Played beside the clip, in step.
    act(page, "compare").click()
    expect(page.locator(FILMED)).to_be_visible()
    divider = page.locator("#film-stage .divider")
    divider.focus()
    page.keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "52")
    act(page, "play").click()
    wait_until_played(page, 0.3)
    act(page, "play").click()
    painted, filmed = times(page)
    assert painted == pytest.approx(filmed, abs=0.05)
    screenshot(page, "film_finished_1280")
    assert axe_findings(page) == []

    assert frames_in(downloaded_file(page, "Download MP4")) == 8

    share_the_file(page)
    follow_its_link(page, visit)
    delete_and_bring_back(page)


def share_the_file(page: Page) -> None:
    """An answer that is no film is not shared, and a later try is."""
    page.evaluate(
        """() => {
            navigator.share = async ({ files: [file] }) => globalThis.shared = file.type;
            const ask = globalThis.fetch;
            globalThis.fetch = async () => {
                globalThis.fetch = ask;
                return new Response("busy", { status: 503 });
            };
        }"""
    )
    share = page.locator("#film-takeaway .share")  # hidden: this browser shares no files
    share.dispatch_event("click")
    expect(share).to_have_text("It is not ready; please try again")
    assert page.evaluate("globalThis.shared ?? null") is None
    share.dispatch_event("click")
    page.wait_for_function("globalThis.shared === 'video/mp4'", timeout=LONG)
    expect(share).to_have_text("Share…")


def follow_its_link(page: Page, visit: Visit) -> None:
    """Somebody with the link sees the film, and no clip."""
    page.locator("#bar [data-act=share]").click()
    link = page.get_by_label("Link to what is on the page")
    expect(link).to_have_value(re.compile("result="), timeout=LONG)
    guest = visit(path="/?" + urlsplit(link.input_value()).query)
    expect(guest.get_by_role("tab", name="Film")).to_have_attribute("aria-selected", "true")
    film_status(guest, "A film from a link")
    expect(guest.locator(PAINTED)).to_be_visible(timeout=LONG)
    expect(act(guest, "compare")).to_be_disabled()
    expect(guest.locator(".card")).to_have_count(0)


def delete_and_bring_back(page: Page) -> None:
    card = page.get_by_role("button", name=re.compile("^Film of .*, finished, 8 of 8 frames"))
    page.get_by_role("button", name=re.compile("^Delete the film of")).click()
    expect(card).to_have_count(0)
    film_status(page, "Deleted.")
    page.get_by_role("button", name="Bring it back").click()
    card.click()
    film_status(page, "Finished: 8 frames")
    expect(page.locator(PAINTED)).to_be_visible(timeout=LONG)


def test_a_film_survives_a_stop_and_a_reload(visit: Visit, tmp_path: Path) -> None:
    page = visit(390, dark=True)
    open_tab(page)
    choose_clip(page, write_frames(tmp_path / "clip.mp4", 240, rate=12))
    set_slider(page, "Iterations", 4)
    stylize(page)
    film_status(page, re.compile(r"Frame [3-9] of 240"))
    act(page, "play").click()  # what is done so far
    wait_until_played(page, 0.05)
    expect(page.locator(PAINTED)).to_be_visible()
    screenshot(page, "film_playing_390_dark")
    page.reload()
    film_status(page, re.compile(r"Frame \d+ of 240"))
    expect(page.locator("#film-stage .still")).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Stop", exact=True).click()
    film_status(page, re.compile(r"Stopped after \d+ of 240 frames"))
    reached = int(re.findall(r"after (\d+) of", page.locator("#film-status").inner_text())[0])
    assert frames_in(downloaded_file(page, "Download MP4")) == reached
    page.reload()
    film_status(page, f"Stopped after {reached} of 240 frames")
    page.get_by_role("button", name="Go on with it").click()
    film_status(page, re.compile(rf"Frame ({reached + 1}|{reached + 2}) of 240"))
    page.get_by_role("button", name="Stop", exact=True).click()
    film_status(page, "Stopped after")


def test_what_is_no_clip_gets_one_sentence(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    open_tab(page)
    expect(page.locator("#film-stylize")).to_be_enabled(timeout=LONG)
    stylize(page)
    film_status(page, "Please choose a clip first.")
    notice = page.locator("#clip .notice")
    fake = tmp_path / "fake.mp4"
    fake.write_text("not a clip")
    for clip, sentence in [
        (fake, "This is not a clip that can be read"),
        (write_sound(tmp_path / "sound.mp4"), "The file has no moving picture, only sound."),
    ]:
        page.locator("#clip input[type=file]").set_input_files(clip)
        expect(notice).to_contain_text(sentence, timeout=LONG)
        expect(page.locator("#clip .trim")).to_be_hidden()
    choose_clip(page, write_frames(tmp_path / "clip.mp4", 6))
    expect(notice).to_be_hidden()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_tab_fits_and_reads_well(visit: Visit, tmp_path: Path, width: int, dark: bool) -> None:
    page = visit(width, dark=dark)
    open_tab(page)
    expect(page.locator("#film-stylize")).to_be_enabled(timeout=LONG)
    theme = "dark" if dark else "light"
    screenshot(page, f"film_empty_{width}_{theme}")
    assert axe_findings(page) == []
    choose_clip(page, write_frames(tmp_path / "clip.mp4", 24, size=(192, 128)))
    screenshot(page, f"film_clip_{width}_{theme}")
    assert axe_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for handle in page.locator("#clip .handle").all():
        box = handle.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_a_handle_is_dragged(visit: Visit, tmp_path: Path) -> None:
    page = visit(390)
    open_tab(page)
    choose_clip(page, write_frames(tmp_path / "clip.mp4", 24))
    way, handle = (page.locator(f"#clip {name}") for name in (".way", "[data-end=begin]"))
    handle.scroll_into_view_if_needed()
    box, grip = way.bounding_box(), handle.bounding_box()
    assert box
    assert grip
    y = grip["y"] + grip["height"] / 2
    page.mouse.move(grip["x"] + grip["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, y, steps=5)
    page.mouse.up()
    expect(handle).to_have_attribute("aria-valuetext", "1.0 s")
    expect(page.locator("#film-estimate")).to_contain_text("12 frames", timeout=LONG)


def test_a_clip_is_recorded(visit: Visit) -> None:
    page = visit(script=CAMERA)
    open_tab(page)
    page.get_by_role("button", name="Record a clip with the camera").click()
    dialog = page.get_by_role("dialog", name="Record a clip")
    dialog.get_by_role("button", name="Record", exact=True).click()
    expect(dialog.get_by_role("status")).to_contain_text("Recording: 1 of 20 s", timeout=LONG)
    dialog.get_by_role("button", name="Stop and use it").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#clip .trim")).to_be_visible(timeout=LONG)
    expect(page.locator("#film-estimate")).to_contain_text("About", timeout=LONG)


def drop(page: Page, path: Path, media_type: str) -> None:
    """Drop a file on the page."""
    page.evaluate(
        """([bytes, name, type]) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(bytes)], name, { type }));
            const options = { bubbles: true, cancelable: true, dataTransfer: data };
            document.querySelector("#studio").dispatchEvent(new DragEvent("drop", options));
        }""",
        [list(path.read_bytes()), path.name, media_type],
    )


def test_what_is_dropped_anywhere_opens_its_tab(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    drop(page, write_frames(tmp_path / "clip.mp4", 12), "video/mp4")
    expect(page.get_by_role("tab", name="Film")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#clip .trim")).to_be_visible(timeout=LONG)
    make_waves(40, 30, seed=1).save(tmp_path / "photo.png")
    drop(page, tmp_path / "photo.png", "image/png")
    expect(page.get_by_role("tab", name="Picture")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#content img.chosen")).to_be_visible()
    open_tab(page)
    page.locator("#finished-examples button").first.click()
    expect(page.get_by_role("tab", name="Picture")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#stage")).to_be_visible()


def test_an_example_is_at_hand(visit: Visit) -> None:
    page = visit(390)
    open_tab(page)
    screenshot(page, "film_empty_390")
    page.get_by_role("button", name="Try it with an example").click()
    expect(page.locator("#clip .trim")).to_be_visible(timeout=LONG)
    expect(page.locator("#film-estimate")).to_contain_text("24 frames")
    expect(page.get_by_role("button", name="Try it with an example")).to_be_hidden()


def test_pictures_are_as_they_were(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    open_tab(page)
    choose_clip(page, write_frames(tmp_path / "clip.mp4", 6))
    page.get_by_role("tab", name="Picture").click()
    expect(page.locator("#clip .trim")).to_be_hidden()
    expect(page.locator("#content .thumb")).to_be_visible()
    page.locator("#content input[type=file]").set_input_files(PHOTO)
    finish(page, size=64, iterations=3)
    page.reload()  # the picture came last
    expect(page.get_by_role("tab", name="Picture")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#finish")).to_be_visible(timeout=LONG)
