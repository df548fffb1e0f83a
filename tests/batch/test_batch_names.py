"""Names of outputs: predictable, never twice, valid wherever they are written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nst.batch.names import names_after, output_names


def names(*pairs: tuple[str, str], suffix: str = ".png") -> list[str]:
    return output_names([(Path(photo), Path(painting)) for photo, painting in pairs], suffix)


def test_a_name_is_made_of_both_stems() -> None:
    assert names(("in/castle.jpg", "art/udnie.webp")) == ["castle--udnie.png"]
    assert names(("a.b.jpeg", "x.png"), suffix=".tif") == ["a.b--x.tif"]


def test_later_ones_of_a_name_are_numbered() -> None:
    assert names(
        ("a.jpg", "x.png"), ("a.png", "x.png"), ("sub/A.gif", "X.png"), ("b.jpg", "x.png")
    ) == ["a--x.png", "a--x-2.png", "A--X-3.png", "b--x.png"]


def test_a_number_may_be_taken() -> None:
    assert names(("a.jpg", "x-2.png"), ("a.jpg", "x.png"), ("a.png", "x.png")) == [
        "a--x-2.png",
        "a--x.png",
        "a--x-3.png",
    ]


def test_the_dashes_between_stems_deceive_nobody() -> None:
    first, second = names(("a--b.jpg", "c.png"), ("a.jpg", "b--c.png"))
    assert (first, second) == ("a--b--c.png", "a--b--c-2.png")


@pytest.mark.parametrize(
    ("photo", "name"),
    [
        ("-rf.png", "_rf--x.png"),
        (".hidden.png", "_hidden--x.png"),
        ('q:<>"|?*\\.png', "q________--x.png"),
        ("new\nline.png", "new_line--x.png"),
        ("e\u0301.png", "\u00e9--x.png"),  # an accent of its own becomes part of the letter
        (os.fsdecode(b"\xff\xfe.png"), "__--x.png"),
        (" .png", "_--x.png"),
    ],
)
def test_what_some_file_system_forbids_is_replaced(photo: str, name: str) -> None:
    assert names((photo, "x.png")) == [name]


def test_long_names_are_cut_and_stay_apart() -> None:
    one, other = names(("あ" * 80 + "1.png", "x" * 250), ("あ" * 80 + "2.png", "x" * 250))
    assert one != other
    assert not other.endswith("-2.png")
    assert max(len(name.encode()) for name in (one, other)) <= 255


anything = st.text(st.characters(blacklist_characters="/\0"), min_size=1, max_size=60).filter(
    lambda text: text not in (".", "..")
)


@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=6))
def test_no_two_names_are_the_same_file_anywhere(pairs: list[tuple[str, str]]) -> None:
    made = names(*pairs)
    assert len({name.casefold() for name in made}) == len(pairs)
    for name in made:
        assert len(name.encode()) <= 255  # raises for what no UTF-8 can hold
        assert Path(name).name == name
        assert name[0] not in ".-"


def test_names_after_photos_alone() -> None:
    photos = ["a/castle.jpg", "Castle.png", "..", ".hidden.png", "C:\\x.gif", "castle-2.webp"]
    assert names_after(photos, "-stylized.png") == [
        "castle-stylized.png",
        "Castle-2-stylized.png",
        "_.-stylized.png",
        "_hidden-stylized.png",
        "C__x-stylized.png",
        "castle-2-2-stylized.png",
    ]
