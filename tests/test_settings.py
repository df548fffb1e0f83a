"""Every setting's default, range and message."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from typing import Any

import pytest

from nst.errors import SettingsError
from nst.looks import LOOKS
from nst.settings import (
    ALPHA,
    BETA,
    DEFAULT_STRENGTH,
    DEFAULTS,
    GATYS_STYLE_LAYERS,
    LAYER_CHANNELS,
    MAX_LAYER_WEIGHT,
    MOST_STYLES,
    STRENGTH,
    STROKES,
    Curve,
    PaintingUse,
    TransferSettings,
    options,
    parse_weights,
    size_stops,
    strength_settings,
    strokes_settings,
    weights_example,
    weights_text,
)

OPTIONS = options()
CHOICES = [name for name, option in OPTIONS.items() if option.choices]
WEIGHTS = [name for name, option in OPTIONS.items() if option.keys]
NUMBERS = [name for name in OPTIONS if name not in (*CHOICES, *WEIGHTS)]
WHOLE_NUMBERS = [name for name in NUMBERS if isinstance(getattr(DEFAULTS, name), int)]
NOT_NUMBERS: list[Any] = [
    True,
    float("nan"),
    float("inf"),
    float("-inf"),
    "1",
    None,
    [1],
    1j,
]
HUGE = 10**400  # JSON can carry it; it does not fit into a float


def test_the_kinds_of_settings_are_told_apart() -> None:
    assert len(NUMBERS) > 4
    assert len(CHOICES) > 4
    assert set(WHOLE_NUMBERS) >= {"size", "iterations", "seed"}


@pytest.mark.parametrize("name", NUMBERS)
def test_bounds_are_inclusive_and_hold_the_default(name: str) -> None:
    bounds: Any = OPTIONS[name].range
    low, high = bounds
    assert low <= getattr(DEFAULTS, name) <= high
    for value in (low, high):
        assert getattr(TransferSettings(**{name: value}), name) == value


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("beyond", [-1, 1])
def test_a_number_out_of_range_is_refused(name: str, beyond: int) -> None:
    low, high = OPTIONS[name].range
    step = 1 if name in WHOLE_NUMBERS else 0.001
    value: Any = low - step if beyond < 0 else high + step
    with pytest.raises(ValueError, match=f"^{name} must be from ") as caught:
        TransferSettings(**{name: value})
    for part in (repr(value), f"{low:g}", f"{high:g}"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a .* number, not ") as caught:
        TransferSettings(**{name: value})  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_huge_number_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        TransferSettings(**{name: HUGE})  # type: ignore[arg-type]


def test_a_huge_layer_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the weight of relu3_1 must be "):
        TransferSettings(layer_weights={"relu3_1": HUGE})


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
def test_fractions_of_whole_numbers_are_refused(name: str) -> None:
    value = getattr(DEFAULTS, name) + 0.5
    with pytest.raises(ValueError, match=f"^{name} must be a whole number, not {value}"):
        TransferSettings(**{name: value})


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_is_accepted(name: str) -> None:
    assert getattr(DEFAULTS, name) in OPTIONS[name].choices
    for value in OPTIONS[name].choices:
        assert getattr(TransferSettings(**{name: value}), name) == value  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["nonsense", "", None, 3, True, [], {}], ids=repr)
def test_what_is_no_choice_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be one of ") as caught:
        TransferSettings(**{name: value})  # type: ignore[arg-type]
    for part in (repr(value), *OPTIONS[name].choices):
        assert part in str(caught.value)


@pytest.mark.parametrize("layer", ["relu1_3", "conv1_1", "", "RELU1_1", 1])
def test_an_unknown_layer_is_refused_with_the_list(layer: Any) -> None:
    with pytest.raises(ValueError, match=r"^layer_weights names a layer ") as caught:
        TransferSettings(layer_weights={"relu1_1": 1.0, layer: 1.0})
    for part in (repr(layer), *LAYER_CHANNELS):
        assert part in str(caught.value)


@pytest.mark.parametrize("weight", [-0.1, MAX_LAYER_WEIGHT + 1, *NOT_NUMBERS], ids=repr)
def test_a_bad_layer_weight_is_refused(weight: Any) -> None:
    with pytest.raises(ValueError, match=r"^the weight of relu3_1 must be ") as caught:
        TransferSettings(layer_weights={"relu3_1": weight})
    assert repr(weight) in str(caught.value)


@pytest.mark.parametrize("weights", [None, 1.0, "relu1_1=1", ["relu1_1"]], ids=repr)
def test_layer_weights_must_be_a_mapping(weights: Any) -> None:
    with pytest.raises(ValueError, match=r"^layer_weights must map "):
        TransferSettings(layer_weights=weights)


def test_defaults_are_gatys_choice() -> None:
    assert DEFAULTS.layer_weights == dict.fromkeys(GATYS_STYLE_LAYERS, 1.0)
    assert (DEFAULTS.alpha, DEFAULTS.beta, DEFAULTS.content_layer) == (1.0, 1.0, "relu4_2")
    assert (DEFAULTS.pooling, DEFAULTS.total_variation) == ("max", 0.0)


def test_layers_are_those_of_vgg_19() -> None:
    assert len(LAYER_CHANNELS) == 16
    assert list(LAYER_CHANNELS.items())[:5] == [
        ("relu1_1", 64),
        ("relu1_2", 64),
        ("relu2_1", 128),
        ("relu2_2", 128),
        ("relu3_1", 256),
    ]
    assert LAYER_CHANNELS["relu5_4"] == 512


def test_style_layers_are_those_that_count_from_shallow_to_deep() -> None:
    weights = {"relu5_1": 2, "relu1_1": 0.5, "relu3_1": 0}
    settings = TransferSettings(layer_weights=weights)
    assert list(settings.style_layers.items()) == [("relu1_1", 0.5), ("relu5_1", 2.0)]


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULTS.alpha = 2.0  # type: ignore[misc]


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_checked_by_name_and_number(name: str) -> None:
    key, other = OPTIONS[name].keys[:2]
    assert getattr(DEFAULTS.replace(**{name: {key: 2, other: 0}}), name) == {key: 2, other: 0}
    for weights, message in (
        ({key: 1.0, "relu9_1": 1.0}, f"{name} names a "),
        ({key: -1.0}, f"the weight of {key} must be"),
        ({key: HUGE}, f"the weight of {key} must be"),
        ([key], f"{name} must map "),
    ):
        with pytest.raises(SettingsError, match=f"^{message}"):
            DEFAULTS.replace(**{name: weights})


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_of_0_paints_like_one_that_is_missing(name: str) -> None:
    key, other = OPTIONS[name].keys[:2]
    alone, beside = (DEFAULTS.replace(**{name: {key: 2, **more}}) for more in ({}, {other: 0}))
    assert alone.paints_like(beside)
    assert not alone.paints_like(DEFAULTS.replace(**{name: {key: 2, other: 1}}))


def test_one_style_cost_must_count() -> None:
    for costs in ({}, {"gram": 0}, {"gram": 0.0, "histogram": 0}):
        with pytest.raises(SettingsError, match=r"^style_costs must give one of its costs"):
            TransferSettings(style_costs=costs)
    assert DEFAULTS.used_style_costs == {"gram": 1.0}


def test_content_layers_take_the_place_of_the_content_layer() -> None:
    assert DEFAULTS.content_weights == {"relu4_2": 1.0}
    assert TransferSettings(content_layer="relu2_1").content_weights == {"relu2_1": 1.0}
    several = TransferSettings(content_layers={"relu4_2": 1, "relu3_2": 0.3, "relu1_1": 0})
    assert list(several.content_weights.items()) == [("relu3_2", 0.3), ("relu4_2", 1.0)]
    assert several.paints_like(several.replace(content_layer="relu1_1"))


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_written_are_read(name: str) -> None:
    weights = {key: round(0.1 * number, 2) for number, key in enumerate(OPTIONS[name].keys)}
    assert parse_weights(weights_text(weights)) == weights
    assert set(parse_weights(weights_example(OPTIONS[name]))) <= set(OPTIONS[name].keys)


def test_settings_keep_their_own_layer_weights() -> None:
    weights = {"relu1_1": 1.0}
    settings = TransferSettings(layer_weights=weights)
    weights["relu1_1"] = -1.0
    assert settings.layer_weights == {"relu1_1": 1.0}
    assert TransferSettings().layer_weights is not TransferSettings().layer_weights


def test_equal_settings_are_equal_keys() -> None:
    assert hash(TransferSettings(alpha=2.0)) == hash(TransferSettings(alpha=2.0))
    assert TransferSettings(layer_weights={"relu1_1": 1.0}) != DEFAULTS


def test_replace_changes_one_value_and_checks_it() -> None:
    assert DEFAULTS.replace(alpha=2.0) == TransferSettings(alpha=2.0)
    with pytest.raises(ValueError, match=r"^size must be from .* to .*, not 1$"):
        DEFAULTS.replace(size=1)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_setting_is_explained_in_one_line(name: str) -> None:
    option = OPTIONS[name]
    for text in (option.label, option.help):
        assert text.strip() == text
        assert len(text.splitlines()) == 1
    assert option.help.endswith(".")
    assert all(option.choices.values()), "each choice says what it does"


def test_labels_differ() -> None:
    assert len({option.label for option in OPTIONS.values()}) == len(OPTIONS)


def test_only_numbers_have_a_range() -> None:
    with pytest.raises(TypeError, match="Optimiser has no range"):
        _ = OPTIONS["optimizer"].range


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("relu1_1=1,relu2_1=0.5", {"relu1_1": 1.0, "relu2_1": 0.5}),
        (" relu1_1 = 2 , ", {"relu1_1": 2.0}),
        ("relu5_1=1e-2", {"relu5_1": 0.01}),
        ("", {}),
    ],
)
def test_layer_weights_are_read(text: str, weights: dict[str, float]) -> None:
    assert parse_weights(text) == weights


@pytest.mark.parametrize("part", ["relu1_1", "relu1_1=", "relu1_1=x", "relu1_1=1=2", "1"])
def test_unreadable_layer_weights_are_refused(part: str) -> None:
    with pytest.raises(ValueError, match="a weight looks like relu1_1=0") as caught:
        parse_weights(f"relu2_1=1,{part}")
    assert repr(part) in str(caught.value)


# --- The ways of the sliders --------------------------------------------------------------------

CURVES = {"α": ALPHA, "β": BETA, "Strength": STRENGTH, "Strokes": STROKES}
SHAPED = [name for name, option in OPTIONS.items() if option.stops]


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_a_way_rises_from_end_to_end(curve: Curve) -> None:
    assert [curve.knots[0][0], curve.knots[-1][0]] == [0.0, 1.0]
    for position, value in curve.knots:
        assert curve.value(position) == value
    values = [curve.value(number / 1000) for number in range(1001)]
    assert all(low < high for low, high in pairwise(values))


def test_a_way_is_straight_between_its_knots() -> None:
    knots = ((0.0, 1.0), (0.5, 4.0), (1.0, 100.0))
    assert Curve(knots).value(0.25) == pytest.approx(2.5)
    assert Curve(knots, logarithmic=True).value(0.25) == pytest.approx(2.0)
    assert Curve(knots, logarithmic=True).value(0.75) == pytest.approx(20.0)
    for beyond in (-0.1, 1.1):
        with pytest.raises(ValueError, match="position must be from 0 to 1"):
            Curve(knots).value(beyond)


def test_beta_goes_the_way_of_alpha_backward() -> None:
    for position in (0.0, 0.25, 0.5, 1.0):
        assert BETA.value(position) == pytest.approx(1 / ALPHA.value(1 - position))


@pytest.mark.parametrize("name", SHAPED)
def test_the_stops_of_a_slider_go_through_its_range(name: str) -> None:
    stops = OPTIONS[name].stops
    assert (stops[0], stops[-1]) == OPTIONS[name].range
    assert all(low < high for low, high in pairwise(stops))


@pytest.mark.parametrize("name", SHAPED)
def test_a_stop_is_found_again_by_its_value(name: str) -> None:
    """`sliders.js` moves a handle to the nearest stop, and takes what it reads there."""
    stops = OPTIONS[name].stops
    for number, value in enumerate(stops):
        assert min(range(len(stops)), key=lambda at: abs(stops[at] - value)) == number


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_the_default_is_a_stop(name: str) -> None:
    assert getattr(DEFAULTS, name) in OPTIONS[name].stops


@pytest.mark.parametrize("look", LOOKS)
def test_sliders_reach_what_a_look_stands_on(look: str) -> None:
    settings = LOOKS[look].settings
    for name in SHAPED:
        value = getattr(settings, name)
        nearest = min(OPTIONS[name].stops, key=lambda stop: abs(stop - value))
        assert nearest == pytest.approx(value, rel=0.02)


def test_strength_and_strokes_have_the_defaults_on_their_way() -> None:
    at_default = strength_settings(DEFAULT_STRENGTH)
    assert at_default == {"alpha": DEFAULTS.alpha, "beta": DEFAULTS.beta}
    assert strokes_settings(0.5) == {
        name: getattr(DEFAULTS, name) for name in ("style_scale", "base_size", "layer_weights")
    }


def test_every_position_of_strength_and_strokes_is_a_valid_choice() -> None:
    for number in range(101):
        position = number / 100
        DEFAULTS.replace(**strength_settings(position), **strokes_settings(position))


def test_sizes_stop_sixteen_times_in_each_doubling() -> None:
    stops = size_stops(4096)
    assert (stops[0], stops[-1]) == (64, 4096)
    assert all(size % 16 == 0 for size in stops)
    assert {128, 256, 384, 512, 768, 1024, 2048} <= set(stops)
    assert list(stops) == sorted(set(stops))
    for low in (256, 512, 1024, 2048):
        assert sum(low <= size < 2 * low for size in stops) == 16
    assert size_stops(2048) == tuple(size for size in stops if size <= 2048)


# The uses of paintings


def test_paintings_not_mentioned_are_used_as_usual() -> None:
    usual, light = PaintingUse(), PaintingUse(weight=0.5)
    settings = TransferSettings(paintings=(usual, light, usual))
    assert settings == TransferSettings(paintings=(usual, light))
    assert settings.uses(4) == (usual, light, usual, usual)
    assert settings.uses(1) == (usual,)
    assert TransferSettings(paintings=(usual,)) == DEFAULTS
    assert not settings.paints_like(DEFAULTS)


def test_the_uses_of_paintings_are_written_only_where_they_are_unusual() -> None:
    assert "paintings" not in DEFAULTS.to_json()
    settings = TransferSettings(
        paintings=(PaintingUse(), PaintingUse(layers=["relu5_1", "relu1_1"], mirror=True))  # type: ignore[arg-type]
    )
    values = json.loads(json.dumps(settings.to_json()))
    assert values["paintings"] == [{}, {"layers": ["relu1_1", "relu5_1"], "mirror": True}]
    assert TransferSettings.from_json(values) == settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": -0.1},
        {"weight": 10.1},
        {"weight": float("nan")},
        {"weight": True},
        {"strength": 4.5},
        {"strength": "1"},
        {"layers": "relu1_1"},
        {"layers": ["relu6_1"]},
        {"layers": [["relu1_1"]]},
        {"scale": 0.2},
        {"rotation": 181},
        {"mirror": 1},
        {"crop": (0, 0, 1)},
        {"crop": (0.5, 0, 0.5, 1)},
        {"crop": (0, 0, 1, 1.1)},
        {"crop": (0, 0, float("nan"), 1)},
        {"crop": "0011"},
        {"color": 1},
    ],
    ids=str,
)
def test_a_painting_is_not_used_in_other_ways(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"^a painting.* not |^a painting.*no setting|layers "):
        PaintingUse.from_json(wrong)
    with pytest.raises(SettingsError):
        TransferSettings.from_json({"paintings": [wrong]})


@pytest.mark.parametrize("wrong", [None, {}, "", [1], [None], [{}] * (MOST_STYLES + 1)], ids=repr)
def test_the_uses_of_paintings_are_a_list_of_objects(wrong: Any) -> None:
    with pytest.raises(SettingsError):
        TransferSettings.from_json({"paintings": wrong})
