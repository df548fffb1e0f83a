"""The named looks, as their data file has them."""

from __future__ import annotations

import pytest

from helpers.places import ROOT
from nst.looks import LOOKS, USUAL_LOOK, Look
from nst.settings import DEFAULTS


def test_there_are_at_least_twelve_and_the_usual_one_changes_nothing() -> None:
    assert len(LOOKS) >= 12
    assert LOOKS[USUAL_LOOK].settings == DEFAULTS


@pytest.mark.parametrize("look", LOOKS.values(), ids=lambda look: look.name)
def test_every_look_is_its_own_and_says_what_one_gets(look: Look) -> None:
    for name, value in look.changes.items():
        assert getattr(look.settings, name) == value
        assert value != getattr(DEFAULTS, name)
    assert look.settings not in [other.settings for other in LOOKS.values() if other != look]
    assert look.gives.endswith(".")
    assert len(look.gives) <= 70
    assert (ROOT / "page" / "assets" / "looks" / look.file).exists()


def test_no_look_chooses_size_or_time() -> None:
    for look in LOOKS.values():
        assert {"size", "iterations", "seed"}.isdisjoint(look.changes)
