"""The smoothness that recipes, links and textures of the first version ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import torch
from PIL import Image

from nst.engine.losses import total_variation
from nst.engine.objective import Objective
from nst.errors import SettingsError
from nst.images.recipe import new_recipe, parse_recipe
from nst.settings import TransferSettings
from nst.vgg.network import VGG
from page.examples import ExampleSet
from page.links import Shared, link_to, read_link

OLD = 7.3  # a total variation weight of version 1


def smoothness(network: VGG, settings: TransferSettings) -> float:
    """What the smoothness adds to J at one picture."""
    image, other = torch.rand(2, 1, 3, 24, 32, generator=torch.Generator().manual_seed(3))
    smooth = Objective(network, other, [other], settings).costs(image)
    return smooth.J - settings.alpha * smooth.content - settings.beta * smooth.style


def expected() -> float:
    """What it added in version 1."""
    image, _ = torch.rand(2, 1, 3, 24, 32, generator=torch.Generator().manual_seed(3))
    return OLD * float(total_variation(255 * image))


@pytest.mark.parametrize("beta", [0.01, 1.0, 30.0])
def test_old_settings_keep_their_objective(network: VGG, beta: float) -> None:
    values = {"total_variation": OLD, "beta": beta}
    settings = TransferSettings.from_json(values, version=1)
    assert smoothness(network, settings) == pytest.approx(expected(), rel=1e-3)
    assert settings.replace(total_variation=0.0) == TransferSettings(
        beta=beta, base_size=2048, base_weight=0.0
    )


@pytest.mark.parametrize("beta", [0.01, 100.0])
def test_every_old_value_can_be_translated(beta: float) -> None:
    values = {"total_variation": 10.0, "beta": beta}
    assert TransferSettings.from_json(values, version=1).total_variation <= 1
    for version in (1, 2, 3, 4):
        with pytest.raises(SettingsError, match=r"^total_variation must be from 0 to 10"):
            TransferSettings.from_json({"total_variation": 10.1}, version=version)


def test_present_settings_come_back_as_they_are() -> None:
    settings = TransferSettings(total_variation=OLD, beta=5.0)
    assert TransferSettings.from_json(settings.to_json()) == settings


def test_an_old_recipe_is_translated_and_a_new_one_is_not() -> None:
    picture = Image.new("RGB", (64, 64), "red")
    settings = TransferSettings(total_variation=OLD, beta=2.0)
    data = json.loads(new_recipe(picture, [picture], settings, "cpu").to_text())
    assert data["version"] == 4
    assert parse_recipe(json.dumps(data)).settings == settings
    (painter,) = data.pop("provenance")  # in the first version, two words of it
    words = {"device": painter["device"], "software": painter["software"]}
    old = parse_recipe(json.dumps({**data, **words, "version": 1}))
    assert old.settings.total_variation == pytest.approx(OLD / 2000)
    assert parse_recipe(old.to_text()) == old, "written again, it is a new one"


@pytest.mark.parametrize(
    ("query", "weight"),
    [
        ({"total_variation": "5"}, 0.005),
        ({"total_variation": "5", "beta": "10"}, 0.0005),
        ({"total_variation": "5", "version": "1"}, 0.005),
        ({"total_variation": "5", "version": "2"}, 5.0),
        ({"total_variation": "5", "version": "3"}, 5.0),
        ({"beta": "10"}, 0.0),
    ],
    ids=str,
)
def test_an_old_link_is_translated(query: Mapping[str, str], weight: float) -> None:
    shared = read_link(query, ExampleSet())
    assert shared is not None
    assert shared.settings.total_variation == pytest.approx(weight)


def test_a_link_names_the_version_only_where_it_counts() -> None:
    assert "version" not in link_to(Shared(TransferSettings(beta=3.0)))
    smooth = Shared(TransferSettings(total_variation=1.5))
    assert link_to(smooth) == "?total_variation=1.5&version=4"
