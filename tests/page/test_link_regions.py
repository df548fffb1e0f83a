"""Painted regions go along in a link where the visitor agrees, as small copies of their masks."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat

from helpers.working import MakeJob, make_job
from nst.errors import SettingsError
from nst.images.framing import Crop
from nst.images.masks import Mask
from nst.settings import options
from nst.studio.task import share_id
from page.examples import Example, ExampleSet
from page.http.identifiers import MOST_QUERY
from page.link_regions import MOST_TEXT, read_regions, regions_text
from page.links import Shared, link_to, read_link
from page.panels.components import Choice
from page.panels.mix import OpenRegion, open_mask, region_values
from page.panels.modes import FILM, PICTURE
from page.panels.paintings import MOST_REGIONS, REST, Paintings, Region
from page.panels.photo_tray import Tray, TrayPhoto
from page.panels.stage import of_shared
from page.studio import Studio

__all__ = ["make_job"]  # a fixture

SIZE = (1024, 683)
THREE = {0: 0, 1: 1, 2: 2}  # indices of paintings that are as in the link


@pytest.fixture(name="examples", scope="module")
def _examples() -> ExampleSet:
    return ExampleSet()


def named(examples: ExampleSet, name: str) -> Example:
    example = examples.find(name)
    assert example
    return example


def ellipse(box: tuple[int, int, int, int] = (200, 150, 700, 600)) -> Mask:
    """A soft region as a brush leaves one."""
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(12))


def scribble(seed: int) -> Mask:
    """Strokes all over the photo, with soft edges."""
    numbers = random.Random(seed)
    points = [(numbers.uniform(0, SIZE[0]), numbers.uniform(0, SIZE[1])) for _ in range(40)]
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).line(points, fill=255, width=30)
    return mask.filter(ImageFilter.GaussianBlur(4))


def text_of(painting: int | str | None = 0, mask: Mask | None = None, strength: float = 1) -> str:
    return regions_text([OpenRegion(mask or ellipse(), painting, strength)])


def difference(copy: Mask, mask: Mask) -> float:
    """The mean difference of two masks, of 255."""
    return float(ImageStat.Stat(ImageChops.difference(copy.resize(SIZE), mask)).mean[0])


def test_regions_come_back_nearly_as_they_were() -> None:
    regions = [
        OpenRegion(ellipse(), 1, 0.5),
        OpenRegion(ellipse((600, 20, 1000, 300)), REST, 0.3),
        OpenRegion(ImageChops.invert(ellipse()), None, 1.0),
    ]
    back = read_regions(regions_text(regions), SIZE, THREE)
    assert [region[1:] for region in back] == [(1, 0.5), (REST, 0.3), (None, 1.0)]
    for copy, region in zip(back, regions, strict=True):
        assert difference(copy.mask, region.mask) < 3
        assert copy.mask.getextrema() == (0, 255)


def test_the_finest_regions_make_no_link_that_is_too_long(examples: ExampleSet) -> None:
    regions = [OpenRegion(scribble(seed), 0, 1.0) for seed in range(MOST_REGIONS)]
    text = regions_text(regions)
    assert MOST_TEXT / 2 < len(text) <= MOST_TEXT
    link = link_to(Shared(examples={"content": named(examples, "castle")}, regions=regions))
    assert len(link) < MOST_QUERY
    assert len(read_regions(text, SIZE, THREE)) == MOST_REGIONS
    alone = read_regions(regions_text(regions[:1]), SIZE, THREE)
    assert max(alone[0].mask.size) == 128


def test_noise_fits_too() -> None:
    noise = Image.effect_noise(SIZE, 200)
    text = regions_text([OpenRegion(noise, 0, 1.0)] * MOST_REGIONS)
    assert len(text) <= MOST_TEXT
    assert len(read_regions(text, SIZE, THREE)) == MOST_REGIONS


def test_a_region_that_vanishes_in_its_copy_is_left_out() -> None:
    dot = Image.new("L", SIZE)
    dot.putpixel((500, 300), 255)
    assert text_of(mask=dot) == ""
    both = regions_text([OpenRegion(dot, 0, 1.0), OpenRegion(ellipse(), 1, 1.0)])
    assert [region.painting for region in read_regions(both, SIZE, THREE)] == [1]


def test_a_link_has_regions_with_an_example_as_the_photo(examples: ExampleSet) -> None:
    photo = {"content": named(examples, "castle")}
    more = [named(examples, "great_wave")]
    shared = Shared(
        examples=photo,
        also=more,
        style_weights=[1, 1],
        result="abc",
        regions=[OpenRegion(ellipse(), 1, 2.0)],
    )
    link = link_to(shared)
    back = read_link(dict(parse_qsl(link[1:])), examples)
    assert back
    assert (back.also, back.result) == (more, "abc")
    assert [region[1:] for region in back.regions] == [(1, 2.0)]
    assert link_to(Shared(regions=shared.regions)) == "?"


def test_regions_go_with_a_photo_or_a_painting_that_is_gone(examples: ExampleSet) -> None:
    second, third = text_of(1), text_of(2)
    query = {"content": "castle", "also": "gone,great_wave", "regions": f"{second},{third}"}
    shared = read_link(query, examples)
    assert shared
    assert [region.painting for region in shared.regions] == [1]  # the third is the second now
    lost = read_link(query | {"content": "gone"}, examples)
    assert lost
    assert lost.regions == ()


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1:1:64x43",
        "1:1:64x43:<b>",
        "1:1:64x43:é",
        f"1:1:64x43:{packed(b'no zlib')}",
        f"1:1:64x64:{packed(zlib.compress(bytes(64 * 64)))}",
        f"1:1:64x43:{packed(zlib.compress(bytes(64 * 42)))}",
        f"1:1:64x43:{packed(zlib.compress(bytes(64 * 44)))}",
        f"1:1:16x16:{packed(zlib.compress(bytes(1_000_000)))}",
        f"1:1:0x0:{packed(zlib.compress(b''))}",
        f"1:1:-8x-8:{packed(zlib.compress(bytes(48)))}",
        f"1:1:129x1:{packed(zlib.compress(bytes(129)))}",
        f"1:nan:8x6:{packed(zlib.compress(bytes(48)))}",
        f"1:-1:8x6:{packed(zlib.compress(bytes(48)))}",
        f"1:99:8x6:{packed(zlib.compress(bytes(48)))}",
        f"x:1:8x6:{packed(zlib.compress(bytes(48)))}",
        f"{'9' * 3900}x:1:8x6:{packed(zlib.compress(bytes(48)))}",
        f"1:1:{'9' * 3900}x6:",
        "1" * 5000,
        "," * 5,
    ],
    ids=lambda text: text[:24],
)
def test_hostile_regions_get_a_sentence(examples: ExampleSet, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_link({"content": "castle", "regions": text}, examples)
    assert len(str(caught.value)) < 200


def test_levels_beyond_the_lightest_are_white() -> None:
    text = f"keep:1:8x6:{packed(zlib.compress(bytes([255] * 48)))}"
    (region,) = read_regions(text, (80, 60), {})
    assert region.mask.getextrema() == (255, 255)


def test_what_is_black_or_of_no_painting_is_left_out() -> None:
    black = f"1:1:8x6:{packed(zlib.compress(bytes(48)))}"
    far = f"{'9' * 3900}:1:8x6:{packed(zlib.compress(bytes([9] * 48)))}"
    assert read_regions(black, (80, 60), THREE) == []
    assert read_regions(far, (80, 60), THREE) == []


def test_a_mask_of_a_few_pixels_can_be_opened_again(waiting_studio: Studio) -> None:
    small = ellipse().resize((6, 4))
    (value,) = region_values([OpenRegion(small, 0, 1.0)], waiting_studio.session.photo)
    mask = open_mask(value["file"]["path"])
    assert mask.size == (24, 16)
    assert ImageStat.Stat(mask).mean[0] > 20


def test_who_follows_a_link_sees_its_photo_and_regions(
    waiting_studio: Studio, examples: ExampleSet
) -> None:
    session = waiting_studio.session
    session.examples = examples
    query = {"content": "moose", "regions": text_of("rest", strength=0.5)}
    request: Any = SimpleNamespace(query_params=query, session_hash="tab")
    updates = waiting_studio.visits.arrive("jane" * 6, request)
    assert updates[session.result_panel.stage]["after"] == named(examples, "moose").large
    (region,) = updates[session.paintings]["regions"]
    assert (region["painting"], region["strength"]) == (REST, 0.5)


def values_of(studio: Studio, photo: Choice, painting: Choice, held: Paintings) -> dict[Any, Any]:
    session = studio.session
    values: dict[Any, Any] = {part: part.value for part in session.controls.components}
    return values | {
        session.visitor: "jane",
        session.current: "",
        session.photo: photo,
        session.painting: painting,
        session.paintings: held,
        session.init: None,
        session.tray: Tray(),
        session.film.modes: PICTURE,
        session.film.current: "",
        session.film.clip: None,
        session.film.stage: None,
        session.result_panel.stage: None,
    }


@pytest.fixture(name="held")
def _held(tmp_path: Path) -> Paintings:
    """One region, where nothing is painted."""
    ellipse().save(tmp_path / "mask.png")
    return Paintings(regions=(Region(str(tmp_path / "mask.png"), None),))


def test_the_button_offers_a_link_with_the_regions(
    waiting_studio: Studio, examples: ExampleSet, held: Paintings
) -> None:
    studio = waiting_studio
    studio.session.examples = examples
    castle, night = (named(examples, name) for name in ("castle", "starry_night"))
    photo, painting = (Choice(str(each.path), each.name) for each in (castle, night))
    values = values_of(studio, photo, painting, held)
    answer = json.loads(studio.sharing.link_now(values))
    assert answer["link"] == "?content=castle&style=starry_night"
    assert answer["withRegions"].startswith(answer["link"] + "&regions=keep:1:128x")
    assert answer["leftOut"] == ""
    for others in (
        {studio.session.film.modes: FILM},
        {studio.session.tray: Tray((TrayPhoto(photo, "a.jpg"),))},
        {studio.session.paintings: Paintings()},
        {studio.session.paintings: Paintings(regions=(Region("/nowhere.png", None),))},
    ):
        assert json.loads(studio.sharing.link_now(values | others))["withRegions"] == ""


def test_the_button_says_what_is_not_in_the_link(
    waiting_studio: Studio, examples: ExampleSet, held: Paintings, tmp_path: Path
) -> None:
    studio = waiting_studio
    studio.session.examples = examples
    ellipse().save(tmp_path / "own.png")
    own, example = Choice(str(tmp_path / "own.png")), named(examples, "starry_night")
    night = Choice(str(example.path), example.name)

    def left_out(photo: Choice, painting: Choice, held: Paintings = held) -> str:
        answer = json.loads(studio.sharing.link_now(values_of(studio, photo, painting, held)))
        assert answer["withRegions"] == ""
        return str(answer["leftOut"])

    assert left_out(own, night) == "Not in the link: your photo and its regions."
    assert left_out(own, night, Paintings()) == "Not in the link: your photo."
    assert left_out(own, own, Paintings()) == "Not in the link: your photo, your painting."
    two = Paintings(more=(own,), weights=(1.0, 1.0))
    assert left_out(own, own, two) == "Not in the link: your photo, your paintings."


def test_the_button_names_all_that_is_not_in_the_link(
    waiting_studio: Studio, examples: ExampleSet, held: Paintings, tmp_path: Path
) -> None:
    studio, session = waiting_studio, waiting_studio.session
    session.examples = examples
    ellipse().save(tmp_path / "own.png")
    own = Choice(str(tmp_path / "own.png"))
    castle, night = (
        Choice(str(each.path), each.name)
        for each in (named(examples, "castle"), named(examples, "starry_night"))
    )
    turned = dataclasses.replace(castle, crop=Crop(quarter_turns=1))
    own_rules = Paintings(regions=(*held.regions, Region(held.regions[0].mask, 0)))

    def answer(others: dict[Any, Any]) -> dict[str, str]:
        values = values_of(studio, castle, night, Paintings())
        return dict(json.loads(studio.sharing.link_now(values | others)))

    def left_out(others: dict[Any, Any]) -> str:
        return answer(others)["leftOut"]

    assert left_out({}) == ""
    assert left_out({session.photo: turned}) == "Not in the link: your version of the photo."
    assert left_out({session.init: own}) == "Not in the link: the starting picture."
    part = {session.paintings: Paintings(within=(held.regions[0].mask,))}
    assert left_out(part) == "Not in the link: the part of a painting that is used."
    assert left_out({**part, session.painting: own}) == "Not in the link: your painting."
    several = Tray((TrayPhoto(castle, "a.jpg"), TrayPhoto(own, "b.jpg")))
    assert left_out({session.tray: several}) == "Not in the link: the other photos."
    clip = {session.film.modes: FILM, session.film.clip: object(), session.photo: own}
    assert left_out(clip) == "Not in the link: the clip."
    ruled = answer({session.painting: own, session.paintings: own_rules})
    assert ruled["leftOut"] == "Not in the link: your painting and its regions."
    assert "regions=keep:" in ruled["withRegions"]
    assert "1:1:" not in ruled["withRegions"]  # it would be of the friend's painting


def test_a_followed_result_is_in_the_link(
    waiting_studio: Studio,
    examples: ExampleSet,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studio, session = waiting_studio, waiting_studio.session
    session.examples = examples
    job = make_job()
    for _ in job.run():
        pass
    share = share_id(job.id)
    known = {share: job}.get
    monkeypatch.setattr(session.workshop, "find_shared", known)
    night = Choice(str(named(examples, "starry_night").path), "starry_night")
    values = values_of(studio, night, night, Paintings())
    values |= {session.result_panel.stage: of_shared(job, share)}
    values |= {session.film.stage: {"share": "film"}}
    values |= session.controls.show(job.settings, set(options()))
    assert f"result={share}" in json.loads(studio.sharing.link_now(values))["link"]
    other = values | {session.controls.by_name["beta"]: 0.5}
    assert "result=" not in json.loads(studio.sharing.link_now(other))["link"]
    film = values | {session.film.modes: FILM}
    assert "result=film" in json.loads(studio.sharing.link_now(film))["link"]
