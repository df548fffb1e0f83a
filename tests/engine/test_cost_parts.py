"""The parts of J add up to J, whatever the settings are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.pictures import MakePicture
from helpers.tiny_network import MakeNetwork
from nst import TransferSettings, transfer_style
from nst.settings import LAYER_CHANNELS
from page.panels.charts import explanation, parts_of

pytestmark = pytest.mark.slow


CHOICES = st.fixed_dictionaries(
    {
        "alpha": st.floats(0.01, 100),
        "beta": st.floats(0.01, 100),
        "total_variation": st.sampled_from([0.0, 0.1, 1.0, 10.0]),
        "optimizer": st.sampled_from(["lbfgs", "adam"]),
        "start": st.sampled_from(["recolored", "content", "noise"]),
        "content_layer": st.sampled_from(["relu1_1", "relu4_2"]),
        "content_layers": st.sampled_from([{}, {"relu2_2": 1.0, "relu3_1": 0.5}]),
        "laplacian": st.sampled_from([0.0, 0.0, 1.0]),
        "style_costs": st.sampled_from(
            [{"gram": 1.0}, {"gram": 1.0}, {"gram": 0.5, "histogram": 1.0}, {"wasserstein": 1.0}]
        ),
        "iterations": st.sampled_from([1, 5, 22]),
        "layer_weights": st.dictionaries(
            st.sampled_from(sorted(LAYER_CHANNELS)), st.floats(0, 10), max_size=5
        ),
    }
)


@given(choices=CHOICES)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_parts_add_up(
    make_network: MakeNetwork, make_picture: MakePicture, choices: dict[str, Any]
) -> None:
    chosen = TransferSettings(size=64, **choices)
    steps = list(
        transfer_style(make_picture(40, 30, 1), make_picture(30, 40, 2), chosen,
                       network=make_network())
    )  # fmt: skip
    for step in steps:
        assert sum(parts_of(step, chosen).values()) == pytest.approx(step.J, rel=1e-4)
        assert sum(step.layers.values()) == pytest.approx(step.style, rel=1e-6)
        assert (step.smoothness > 0) == (chosen.total_variation > 0)


def test_the_explanation_names_the_smoothness(
    make_network: MakeNetwork, make_picture: MakePicture
) -> None:
    for weight, is_named in ((0.0, False), (1.0, True)):
        chosen = TransferSettings(size=64, iterations=1, total_variation=weight)
        *_, last = transfer_style(
            make_picture(40, 30, 1), make_picture(30, 40, 2), chosen, network=make_network()
        )
        assert ('<th scope="row">smoothness</th>' in explanation(last, chosen)) == is_named
