"""What a worker on a cluster keeps of the runs that it has painted."""

from __future__ import annotations

import pickle
from functools import partial

import pytest
from PIL import Image

import nst.studio.backends.ray_painter
from helpers.painting import SMALL
from nst.engine.transfer import transfer_style
from nst.studio.backends.ray_painter import NetworkPainter, Order
from nst.studio.backends.remote import RunInputs
from nst.vgg.network import VGG


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch, network: VGG) -> NetworkPainter:
    module = nst.studio.backends.ray_painter
    monkeypatch.setattr(module, "load_network", lambda _: network)
    monkeypatch.setattr(module, "seconds_per_pixel", lambda _: 1e-6)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    monkeypatch.setattr(module, "transfer_style", partial(transfer_style, network=network))
    return NetworkPainter("node", 1, 1)


def kept_after(painter: NetworkPainter, count: int, *pictures: Image.Image) -> list[int]:
    """The numbers of the runs that are kept once so many were painted from these pictures."""
    photo, *paintings = pictures
    order = Order(RunInputs.of(photo, paintings, SMALL), 0.0, keeps_state=True)
    for number in range(count):
        list(painter.paint(number, pickle.dumps(order), lambda: False))
    return list(painter._kept)


def test_pictures_of_past_runs_are_let_go(
    painter: NetworkPainter,
    photo: Image.Image,
    painting: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each run is made from 25 kB of pictures, held twice, and learns far more than that."""
    assert kept_after(painter, 1, photo, painting) == [0]
    learned = painter._kept[0].bytes
    monkeypatch.setattr(nst.studio.backends.ray_painter, "KEPT", 2 * learned)
    assert kept_after(painter, 3, photo, painting) == [1, 2]
