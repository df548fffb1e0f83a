"""The stage and what surrounds it, in a real Chromium: what a picky visitor tries."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageOps
from playwright.sync_api import Locator, Page, Route, expect

from helpers.browsing import (
    AFTER,
    LONG,
    Visit,
    choose_example,
    choose_look,
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
from nst.images.recipe import read_recipe
from nst.looks import LOOKS
from nst.settings import options

pytestmark = pytest.mark.browser

DIVIDER = "#stage .divider"
BEFORE = "#stage img.before"
FIRST_SCREEN = ("#stage", "#content .thumb", "#style .thumb", "#stylize", "#stop", "#estimate")
HANDLE = """slider => {  // where the browser has it, and where its way ends
    const handle = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
    return [Number(handle.get.call(slider)), Number(slider.max)];
}"""
STEP = "10"  # a value of β


def act(page: Page, name: str) -> Locator:
    """A button of the stage or of the bar."""
    return page.locator(f"#stage [data-act={name}], #bar [data-act={name}]")


def shown(page: Page, selector: str) -> str:
    return str(page.locator(selector).get_attribute("src"))


def zoom_of(page: Page) -> float:
    matrix = page.locator("#stage .layers").evaluate("layers => getComputedStyle(layers).transform")
    return float(re.findall(r"[\d.]+", matrix)[0]) if matrix != "none" else 1.0


def wait_for_zoom(page: Page, condition: str) -> None:
    page.wait_for_function(
        "() => { const layers = document.querySelector('#stage .layers');"
        " const zoom = new DOMMatrix(getComputedStyle(layers).transform).a;"
        f" return {condition}; }}"
    )


def axe_findings(page: Page) -> list[tuple[str, str]]:
    wait_for_transitions(page)
    return [
        (violation["id"], node["html"])
        for violation in Axe().run(page).response["violations"]
        for node in violation["nodes"]
    ]


# --- The first screen ---------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_holds_what_is_needed(visit: Visit, width: int, height: int) -> None:
    page = visit(width)
    page.set_viewport_size({"width": width, "height": height})
    expect(page.locator("#estimate")).to_contain_text("It will take about", timeout=LONG)
    for selector in FIRST_SCREEN:
        box = page.locator(selector).bounding_box()
        assert box, selector
        assert box["x"] >= 0, selector
        assert box["x"] + box["width"] <= width, selector
        assert box["y"] + box["height"] <= height, selector
    expect(page.locator(AFTER)).to_be_visible()
    expect(page.locator(DIVIDER)).to_be_visible()  # the best finished example, before and after


def test_the_stage_stays_in_sight_on_a_phone(visit: Visit) -> None:
    page = visit(390)
    page.locator("#advanced .fold-head").first.scroll_into_view_if_needed()
    page.mouse.move(195, 700)
    page.mouse.wheel(0, 300)
    stage = page.locator("#stage").bounding_box()
    assert stage
    assert stage["y"] >= 0
    assert stage["height"] <= 0.45 * 844
    covered = page.evaluate(
        "!document.elementFromPoint(195, 100).closest('#stage')"  # labels must not shine through
    )
    assert not covered


def test_nothing_jumps_when_painting_begins_and_ends(visit: Visit) -> None:
    page = visit()
    boxes = [page.locator("#stage .viewport").bounding_box()]
    start(page, size=64, iterations=500)
    wait_for_iteration(page, 2)
    boxes.append(page.locator("#stage .viewport").bounding_box())
    picture = page.locator(AFTER).bounding_box()
    assert picture == boxes[-1]  # it fills the stage, small as it is
    stop(page)
    status(page, "Stopped after")
    boxes.append(page.locator("#stage .viewport").bounding_box())
    sizes = {(box["width"], box["height"]) for box in boxes if box}
    assert len(sizes) == 1


# --- Looking closely ----------------------------------------------------------------------------


def test_the_divider_moves_by_keys_and_by_hand(visit: Visit) -> None:
    page = visit()
    divider = page.locator(DIVIDER)
    expect(divider).to_be_visible()
    divider.focus()
    for key, value in (("ArrowLeft", "45"), ("Home", "0"), ("End", "100"), ("ArrowLeft", "95")):
        page.keyboard.press(key)
        expect(divider).to_have_attribute("aria-valuenow", value)
    box = page.locator("#stage .viewport").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")


def test_the_page_is_scrolled_over_the_comparison(visit: Visit) -> None:
    page = visit()
    expect(page.locator(DIVIDER)).to_be_visible()
    page.locator("#stage .viewport").hover()
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 100")
    assert zoom_of(page) == 1
    assert page.locator("#stage .viewport").evaluate(
        "box => getComputedStyle(box).touchAction.includes('pan-y')"
    )


def test_zoom_and_pan(visit: Visit) -> None:
    page = visit()
    expect(page.locator(DIVIDER)).to_be_visible()  # its script is there
    box = page.locator("#stage .viewport").bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    wait_for_zoom(page, "zoom > 1.05")
    before = page.locator("#stage .layers").get_attribute("style")
    page.locator("#stage .viewport").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#stage .layers")).not_to_have_attribute("style", str(before))
    page.keyboard.press("0")
    wait_for_zoom(page, "zoom === 1")
    page.mouse.dblclick(box["x"] + 150, box["y"] + 150)
    wait_for_zoom(page, "zoom > 1.2")


def test_full_screen_is_the_picture_alone(visit: Visit) -> None:
    page = visit()
    act(page, "full").click()
    page.wait_for_function("document.fullscreenElement?.classList.contains('stage')")
    size = page.evaluate("[innerWidth, innerHeight]")
    points = [(20, 20), (size[0] // 2, size[1] // 2), (size[0] - 20, 60)]
    assert all(
        page.evaluate("([x, y]) => !!document.elementFromPoint(x, y).closest('.stage')", list(at))
        for at in points
    )
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null")


def test_what_was_before_is_seen_while_a_key_is_held(visit: Visit) -> None:
    page = visit()
    finish(page)
    expect(page.locator(DIVIDER)).to_be_hidden()
    expect(page.locator(BEFORE)).to_have_css("visibility", "hidden")
    page.keyboard.down("b")
    expect(page.locator(BEFORE)).to_have_css("visibility", "visible")
    page.keyboard.up("b")
    expect(page.locator(BEFORE)).to_have_css("visibility", "hidden")
    page.keyboard.press("c")
    expect(page.locator(DIVIDER)).to_be_visible()


def test_any_two_pictures_can_be_compared(visit: Visit) -> None:
    page = visit()
    finish(page)
    finish(page, iterations=6)
    status(page, "6 of 6 iterations")
    expect(page.locator("#gallery .card.finished")).to_have_count(2)
    with_what = page.get_by_label("Compare with")
    with_what.focus()
    options = with_what.locator("option").all_inner_texts()
    assert options[:2] == ["the photo", "the painting"]
    assert len(options) == 4  # and the two of this visitor's own
    tag = page.locator("#stage .tag.before")
    with_what.select_option(index=1)
    expect(tag).to_have_text("Painting")
    with_what.select_option(index=3)
    expect(page.locator(BEFORE)).to_have_attribute("src", re.compile("display.webp"))
    expect(page.locator(DIVIDER)).to_be_visible()
    expect(tag).not_to_have_text("Painting")
    page.locator("#gallery [data-act=select]").last.click()
    status(page, "4 of 4 iterations")
    expect(tag).to_have_text("Photo")
    expect(with_what.locator("option:checked")).to_have_text("the photo")


def test_a_finished_picture_stays_until_the_next_begins(visit: Visit) -> None:
    page = visit()
    finish(page)
    painted = page.locator(AFTER).get_attribute("src")
    step = page.locator(".topbar").get_attribute("data-step")
    choose_example(page, "content", "Moose")
    expect(page.locator(".topbar")).not_to_have_attribute("data-step", str(step))
    expect(page.locator(AFTER)).to_have_attribute("src", str(painted))
    expect(page.locator("#download")).to_be_visible()


def test_what_a_click_far_below_shows_comes_into_sight(visit: Visit) -> None:
    page = visit()
    viewport = page.locator("#stage .viewport")
    far = page.locator("#finished-examples button").last
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(viewport).not_to_be_in_viewport(ratio=0.5)
    far.click()
    expect(viewport).to_be_in_viewport(ratio=1)


def test_the_focus_goes_from_stylize_to_stop_and_back(visit: Visit) -> None:
    page = visit()
    stylize = page.get_by_role("button", name="Stylize", exact=True)
    stop = page.get_by_role("button", name="Stop", exact=True)
    set_slider(page, "Size", 64)
    set_slider(page, "Iterations", 1000)
    stylize.focus()
    page.keyboard.down("Enter")
    expect(stop).to_be_focused(timeout=LONG)
    page.keyboard.down("Enter")  # it is still held, and repeats
    page.keyboard.up("Enter")
    now = page.evaluate("performance.now()")
    page.wait_for_function("before => performance.now() > before + 600", arg=now)
    expect(stop).to_be_focused()
    page.keyboard.press("Enter")
    status(page, "Stopped after")
    expect(stylize).to_be_focused()


def test_the_mouse_leaves_the_focus_where_it_is(visit: Visit) -> None:
    page = visit()
    finish(page, iterations=3)
    expect(page.get_by_role("button", name="Stop", exact=True)).not_to_be_focused()
    expect(page.get_by_role("button", name="Stylize", exact=True)).not_to_be_focused()


# --- Choosing -----------------------------------------------------------------------------------


def test_a_look_that_is_edited_says_so_and_comes_back(visit: Visit) -> None:
    page = visit()
    choose_look(page, "Heavy paint")
    chosen = page.get_by_role("radio", name="Heavy paint")
    back = page.get_by_role("button", name="Edited: back to Heavy paint")
    expect(page.get_by_label("number input for Strength")).to_have_value("95")
    expect(chosen).to_be_checked()
    expect(back).to_be_hidden()
    set_slider(page, "Strength", 60)
    expect(page.get_by_label("number input for Style weight β")).to_have_value("0.224")
    expect(back).to_be_visible()
    back.click()
    expect(page.get_by_label("number input for Style weight β")).to_have_value("5")
    expect(back).to_be_hidden()


def test_the_friendly_sliders_and_the_true_ones_are_linked_both_ways(visit: Visit) -> None:
    page = visit()
    set_slider(page, "Strength", 75)
    expect(page.get_by_label("number input for Content weight α")).to_have_value("2.11")
    expect(page.get_by_label("number input for Style weight β")).to_have_value("0.473")
    move_slider(page, "Style weight β", "2.11")
    expect(page.get_by_label("number input for Strength")).to_have_value("90")
    set_slider(page, "Strokes", 1)
    expect(page.get_by_label("number input for Style scale")).to_have_value("2")
    expect(page.get_by_label("number input for Base size")).to_have_value("128")
    expect(page.get_by_label("number input for λ relu5_1")).to_have_value("2.85")
    expect(page.get_by_label("number input for λ relu1_1")).to_have_value("0.35")
    set_slider(page, "Style scale", 1)
    expect(page.get_by_label("number input for Strokes")).not_to_have_value("1")


def test_undo_and_redo(visit: Visit) -> None:
    page = visit()
    photo = shown(page, "#content img.chosen")
    choose_example(page, "content", "Moose")
    moose = shown(page, "#content img.chosen")
    assert moose != photo
    expect(page.locator(".topbar[data-step='1']")).to_be_attached()
    choose_look(page, "Heavy paint")
    expect(page.get_by_label("number input for Style weight β")).to_have_value("5")
    expect(page.locator(".topbar[data-step='2']")).to_be_attached()
    page.keyboard.press("Control+z")
    expect(page.get_by_label("number input for Style weight β")).to_have_value("1")
    page.keyboard.press("Control+z")
    expect(page.locator("#content img.chosen")).to_have_attribute("src", photo)
    expect(page.locator(AFTER)).to_have_attribute("src", photo.partition("?")[0])
    expect(act(page, "undo")).to_be_disabled()
    act(page, "redo").click()
    expect(page.locator("#content img.chosen")).to_have_attribute("src", moose)
    act(page, "redo").click()
    expect(page.get_by_label("number input for Style weight β")).to_have_value("5")
    expect(act(page, "redo")).to_be_disabled()


def test_what_was_changed_while_painting_is_taken_back(visit: Visit) -> None:
    page = visit()
    start(page, size=64, iterations=900)
    wait_for_iteration(page, 2)
    move_slider(page, "Style weight β", STEP)
    expect(page.locator(".marks")).to_contain_text("β 1 → 10", timeout=LONG)
    act(page, "undo").click()
    expect(page.locator(".marks")).to_contain_text("β 10 → 1", timeout=LONG)
    choose_example(page, "style", "Under the Wave")
    expect(page.locator(".marks")).to_contain_text("another painting", timeout=LONG)
    act(page, "undo").click()
    expect(page.locator(".marks li", has_text="another painting")).to_have_count(2, timeout=LONG)
    stop(page)
    status(page, "Stopped after")
    recipe = read_recipe(downloaded_file(page))
    assert recipe.settings.beta == 1
    assert recipe.passages[-1].styles == (0,)


def test_an_example_is_dragged_to_an_input(visit: Visit) -> None:
    page = visit()
    waves = page.locator("#style-examples button[data-name=great_wave]")
    waves.drag_to(page.locator("#style .thumb"))
    small = str(waves.get_attribute("data-small"))
    expect(page.locator("#style img.chosen")).to_have_attribute("src", small)


def transfer(page: Page, event: str, target: str, path: Path) -> None:
    """Drop or paste a file."""
    page.evaluate(
        """([type, target, text]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "picture.jpg", {type: "image/jpeg"}));
            const options = {bubbles: true, cancelable: true};
            document.querySelector(target).dispatchEvent(type === "paste"
                ? new ClipboardEvent(type, {...options, clipboardData: data})
                : new DragEvent(type, {...options, dataTransfer: data}));
        }""",
        [event, target, base64.b64encode(path.read_bytes()).decode()],
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted_anywhere(visit: Visit, event: str) -> None:
    page = visit()
    transfer(page, event, "h1", EXAMPLES / "content" / "moose.jpg")
    uploaded = re.compile("^gradio_api/file=")
    expect(page.locator("#content img.chosen")).to_have_attribute("src", uploaded, timeout=LONG)
    expect(page.locator(AFTER)).to_have_attribute("src", uploaded, timeout=LONG)
    transfer(page, "drop", "#style .thumb", EXAMPLES / "style" / "great_wave.jpg")
    expect(page.locator("#style img.chosen")).to_have_attribute("src", uploaded, timeout=LONG)


def test_a_picture_is_cropped_and_turned(visit: Visit) -> None:
    page = visit()
    page.locator("#content [data-act=crop]").click()
    dialog = page.get_by_role("dialog", name="Crop or turn")
    expect(dialog.locator(".cropper-crop-box")).to_be_visible(timeout=LONG)
    dialog.get_by_role("button", name="Turn to the right").click()
    dialog.get_by_role("button", name="Crop", exact=True).click()
    expect(page.locator(AFTER)).to_have_attribute("src", re.compile("^gradio_api"), timeout=LONG)
    finish(page, size=96, iterations=2)
    with Image.open(EXAMPLES / "content" / "bridge.jpg") as photo:
        expected = (round(96 * photo.height / photo.width), 96)
    size = page.locator(AFTER).evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert tuple(size) == expected
    page.locator("#content [data-act=crop]").click()
    expect(dialog.locator(".cropper-crop-box")).to_be_visible(timeout=LONG)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_frame_around_a_painting_is_offered_to_be_cropped(
    visit: Visit, tmp_path: Path, make_picture: MakePicture
) -> None:
    path = tmp_path / "framed.png"
    ImageOps.expand(make_picture(300, 200), 40, "white").save(path)
    page = visit()
    upload(page, "style", path)
    offer = page.locator("#style").get_by_text("has a frame around it")
    expect(offer).to_be_visible(timeout=LONG)
    before = shown(page, "#style img.chosen")
    page.locator("#style").get_by_role("button", name="Crop it off").click()
    expect(offer).to_be_hidden()
    expect(page.locator("#style img.chosen")).not_to_have_attribute("src", before, timeout=LONG)
    size = page.locator("#style img.chosen").evaluate("i => [i.naturalWidth, i.naturalHeight]")
    assert abs(size[0] - 300) <= 4
    assert abs(size[1] - 200) <= 4


def test_the_camera_can_be_left(visit: Visit) -> None:
    page = visit()
    page.locator("#content [data-act=camera]").click()
    dialog = page.get_by_role("dialog", name="Camera")
    expect(dialog).to_contain_text(re.compile("not allowed|no camera|does not work"))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.locator("#content [data-act=camera]").click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


# --- Painting, and afterwards -------------------------------------------------------------------


def test_the_title_and_the_live_region_follow_the_progress(visit: Visit) -> None:
    page = visit()
    page.evaluate(
        """() => {
            window.said = [];
            for (const region of document.querySelectorAll("[role=status]")) {
                new MutationObserver(() => region.textContent && said.push(region.textContent))
                    .observe(region, {childList: true, characterData: true, subtree: true});
            }
        }"""
    )
    start(page, size=64, iterations=400)
    page.wait_for_function("/^\\d+ % · /.test(document.title)", timeout=LONG)
    wait_for_iteration(page, 110)
    stop(page)
    status(page, "Stopped after")
    expect(page).to_have_title("Impasto")
    said = page.evaluate("window.said")
    assert said[:2] == ["Painting has begun.", "25 percent painted."]
    assert said[2].startswith("Stopped after")
    assert len(said) == 3
    assert len(re.findall(r"of 400", said[2])) == 1  # once


def test_a_picture_that_was_stopped_small_says_so_and_is_finished(visit: Visit) -> None:
    page = visit()
    start(page, size=768, iterations=400)
    wait_for_iteration(page, 2)
    stop(page)
    status(page, "smaller than the 768 px that you asked for")
    page.get_by_role("button", name="Finish it at full size").click()
    page.wait_for_function(
        "document.querySelector('#status').innerText.includes('768×')", timeout=LONG
    )
    stop(page)
    status(page, "Stopped after")
    expect(page.get_by_role("button", name="Finish it at full size")).to_be_hidden()


def test_a_deleted_picture_comes_back(visit: Visit) -> None:
    page = visit()
    finish(page)
    page.get_by_role("button", name=re.compile("^Delete the picture")).click()
    status(page, "Deleted.")
    expect(page.locator("#gallery .card")).to_have_count(0)
    page.get_by_role("button", name="Bring it back").click()
    card = page.locator("#gallery .card")
    expect(card).to_have_count(1)
    expect(card.locator("time")).to_have_text(re.compile(r"\d+:\d\d [AP]M, "))
    card.get_by_role("button").first.click()
    status(page, "Finished after")


def test_a_result_becomes_the_next_photo_or_painting(visit: Visit) -> None:
    page = visit()
    finish(page)
    for role, name in (("content", "Use as photo"), ("style", "Use as painting")):
        before = shown(page, f"#{role} img.chosen")
        page.get_by_role("button", name=name).click()
        chosen = page.locator(f"#{role} img.chosen")
        expect(chosen).not_to_have_attribute("src", before, timeout=LONG)
        expect(chosen).to_have_js_property("naturalWidth", 64)
    finish(page, iterations=3)


def test_the_colours_of_an_example_are_dialled_too(visit: Visit) -> None:
    page = visit()
    page.locator("#finished-examples button").nth(1).click()
    expect(page.locator(AFTER)).to_have_attribute("alt", re.compile("^Neuschwanstein"))
    before = shown(page, AFTER)
    move_slider(page, "Colours", "-1")
    expect(page.locator(AFTER)).to_have_attribute("src", f"{before}?colors=-1", timeout=LONG)


def test_a_copied_link_never_shows_what_has_changed(visit: Visit) -> None:
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    act(page, "share").click()
    field = page.locator("dialog.link [readonly]")
    expect(field).to_have_value(re.compile("style=starry_night"), timeout=LONG)
    choose_example(page, "style", "Under the Wave")
    expect(field).to_be_hidden()
    act(page, "share").click()
    expect(field).to_have_value(re.compile("style=great_wave"), timeout=LONG)
    assert page.evaluate("navigator.clipboard.readText()") == field.input_value()


def test_a_notice_does_not_lie_on_stop(visit: Visit) -> None:
    page = visit(390)
    start(page, size=64, iterations=900)
    wait_for_iteration(page, 1)
    choose_example(page, "content", "Moose")
    notice = page.locator(".toast-body")
    expect(notice).to_contain_text("for the next picture", timeout=LONG)
    page.locator("#stop").scroll_into_view_if_needed()
    stop_box, notice_box = page.locator("#stop").bounding_box(), notice.bounding_box()
    assert stop_box
    assert notice_box
    assert (
        notice_box["y"] + notice_box["height"] <= stop_box["y"]
        or notice_box["y"] >= stop_box["y"] + stop_box["height"]
    )
    stop(page)
    status(page, "Stopped after")


def test_shortcuts_leave_text_fields_alone(visit: Visit) -> None:
    page = visit()
    expect(page.locator("#stylize")).to_be_enabled(timeout=LONG)
    box = number_of(page, "Strength")
    box.focus()
    page.keyboard.press("s")
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("#stop")).to_be_disabled()
    box.blur()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.locator("#stop")).to_be_enabled(timeout=LONG)
    page.keyboard.press("Escape")
    status(page, "Stopped")


def test_sliders_say_what_their_values_mean(visit: Visit) -> None:
    page = visit()
    beta = page.get_by_label("range slider for Style weight β")
    expect(beta).to_have_attribute("aria-valuetext", "β 1, as usual")
    move_slider(page, "Style weight β", "2")
    expect(beta).to_have_attribute("aria-valuetext", "β 2, stronger style")
    sliders = page.locator("#controls input[type=range]")
    assert all(slider.get_attribute("aria-valuetext") for slider in sliders.all())


def test_a_shaped_slider_goes_from_stop_to_stop_and_its_box_has_the_value(visit: Visit) -> None:
    page = visit()
    stops = options()["beta"].stops
    box = number_of(page, "Style weight β")
    slider = page.get_by_label("range slider for Style weight β")
    at = stops.index(1.0)
    assert slider.evaluate(HANDLE) == [at, len(stops) - 1]
    for key, value in [
        ("ArrowLeft", stops[at - 1]),
        ("ArrowLeft", stops[at - 2]),
        ("ArrowRight", stops[at - 1]),
        ("End", stops[-1]),
        ("Home", stops[0]),
        ("ArrowRight", stops[1]),
    ]:
        slider.press(key)
        expect(box).to_have_value(f"{value:g}")
    between = (stops[100] * stops[101]) ** 0.5
    box.fill(f"{between:.4f}")  # is kept as it was typed
    box.blur()
    expect(box).to_have_value(f"{between:.4f}")
    assert slider.evaluate(HANDLE)[0] in (100, 101)
    progress = slider.evaluate("slider => slider.style.getPropertyValue('--range_progress')")
    assert float(progress.rstrip("%")) == pytest.approx(50, abs=0.6)
    choose_look(page, "Light touch")
    expect(box).to_have_value(f"{LOOKS['Light touch'].settings.beta:g}")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_in_any_state(visit: Visit, width: int, dark: bool) -> None:
    page = visit(width, dark=dark)
    expect(page.locator("#stylize")).to_be_enabled(timeout=LONG)
    expect(page.locator(DIVIDER)).to_be_visible()
    assert axe_findings(page) == [], "at the start"
    start(page, size=64, iterations=900)
    wait_for_iteration(page, 1)
    assert axe_findings(page) == [], "while painting"
    stop(page)
    status(page, "Stopped after")
    for fold in ("settings", "weights", "layers", "advanced", "explain", "sheet", "film"):
        open_fold(page, fold)
    screenshot(page, f"unfolded_{width}_{'dark' if dark else 'light'}")
    assert axe_findings(page) == [], "with an ended picture, unfolded"
    set_slider(page, "Size", 64)
    page.locator("#finished-examples button").first.click()
    status(page, "Press Stylize to paint it yourself")
    assert axe_findings(page) == [], "with an example"
    act(page, "help").click()
    assert axe_findings(page) == [], "with help"


def test_a_link_to_what_is_not_here_says_so(visit: Visit) -> None:
    page = visit(path="?content=gone&beta=5")
    expect(page.locator(".toast-body")).to_contain_text("not among the examples here")
    expect(page.get_by_label("number input for Style weight β")).to_have_value("5")


def test_a_preview_that_was_asked_for_before_its_picture_was_deleted_is_no_error(
    visit: Visit,
) -> None:
    page, asked = visit(), list[Route]()
    start(page, size=96, iterations=900)
    wait_for_iteration(page, 2)
    page.route(re.compile(r"/display\.webp.*side="), lambda route: asked.append(route))
    with page.expect_request(re.compile(r"/display\.webp.*side=")):
        pass
    page.get_by_role("button", name=re.compile("^Delete the picture")).click()
    status(page, "Deleted.")
    with page.expect_response(asked[0].request.url) as answer:
        for route in asked:
            route.continue_()
    assert answer.value.status == 204


def test_accordions_say_whether_they_are_open(visit: Visit) -> None:
    page = visit()
    sheet = page.get_by_role("button", name="Contact sheet:")
    for is_open in ("false", "true", "false"):
        expect(sheet).to_have_attribute("aria-expanded", is_open)
        sheet.click()
    finish(page, size=64, iterations=3)
    timelapse = page.locator(".label-wrap", has_text="Timelapse")  # it has come since
    expect(timelapse).to_have_attribute("aria-expanded", "false")


def test_a_card_tells_how_long_ago_it_was(visit: Visit) -> None:
    # A page that is open for long: its minutes last a fifth of a second.
    page = visit(
        script="""
        const interval = setInterval, now = Date.now;
        globalThis.setInterval = (each, milliseconds, ...rest) =>
            interval(each, milliseconds === 60_000 ? 200 : milliseconds, ...rest);
        globalThis.later = 0;
        Date.now = () => now() + globalThis.later;
        """
    )
    finish(page, size=64, iterations=3)
    time = page.locator("#gallery time")
    expect(time).to_contain_text(", now")
    page.evaluate("later = 5 * 60_000 + 5_000")
    expect(time).to_contain_text("5 minutes ago")
    page.evaluate("later = 3 * 3_600_000")
    expect(time).to_contain_text("3 hours ago")


def test_nothing_moves_for_whoever_wants_that(visit: Visit) -> None:
    page = visit()
    moving = (
        "[...document.querySelectorAll('.contain *')].filter((each) =>"
        " parseFloat(getComputedStyle(each).transitionDuration) > 0).length"
    )
    assert page.evaluate(moving) > 0
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0
