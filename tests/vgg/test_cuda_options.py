"""How CUDA computes, on an emulated device: as asked, and no longer than the network is at work."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import Tensor

from helpers.emulated_device import emulated_device
from helpers.tiny_network import MakeNetwork
from nst.errors import SettingsError
from nst.vgg.convolution import Convolution
from nst.vgg.cuda_options import CudaOptions, cuda_options
from nst.vgg.network import VGG

cudnn = torch.backends.cudnn


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
    """Return what cuDNN was told at each convolution: whether to try algorithms, and TF32."""
    told: list[tuple[bool, bool]] = []
    for name in ("activate", "adjoint", "__call__"):
        convolve = getattr(Convolution, name)

        def telling(self: Convolution, x: Tensor, convolve: object = convolve) -> Tensor:
            told.append((cudnn.benchmark, cudnn.allow_tf32))
            assert callable(convolve)
            y: Tensor = convolve(self, x)
            return y

        monkeypatch.setattr(Convolution, name, telling)
    return told


def go_there_and_back(network: VGG) -> None:
    image = torch.rand(1, 3, 16, 16).to(network.device)
    network(image, ["relu2_1"])
    trace = network.observe(image, ["relu2_1"])

    def begin_with_ones(layer: str, gradient: Tensor | None) -> Tensor:
        return torch.ones_like(trace.activations[layer]) if gradient is None else gradient

    network.pull_back(trace, begin_with_ones)


def test_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NST_CUDA", raising=False)
    assert cuda_options() == CudaOptions(graphs=False, benchmark=False, tf32=False)
    monkeypatch.setenv("NST_CUDA", "graphs, tf32")
    assert cuda_options() == CudaOptions(graphs=True, tf32=True)
    monkeypatch.setenv("NST_CUDA", "graphs,speed")
    with pytest.raises(SettingsError, match="'speed'; it can name graphs, benchmark, tf32"):
        cuda_options()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("", (False, False)), ("graphs", (False, False)), ("benchmark,tf32", (True, True))],
)
def test_convolutions_are_computed_as_asked(
    monkeypatch: pytest.MonkeyPatch,
    make_network: MakeNetwork,
    seen: list[tuple[bool, bool]],
    asked: str,
    expected: tuple[bool, bool],
) -> None:
    monkeypatch.setenv("NST_CUDA", asked)
    before = cudnn.benchmark, cudnn.allow_tf32
    assert before == (False, True)  # PyTorch's own
    with emulated_device("cuda"):
        go_there_and_back(make_network(device="cuda"))
    assert set(seen) == {expected}
    assert len(seen) >= 9
    assert (cudnn.benchmark, cudnn.allow_tf32) == before


def test_on_other_devices_nothing_is_changed(
    monkeypatch: pytest.MonkeyPatch, make_network: MakeNetwork, seen: list[tuple[bool, bool]]
) -> None:
    monkeypatch.setenv("NST_CUDA", "benchmark,no such name")
    go_there_and_back(make_network())
    assert set(seen) == {(False, True)}


def test_what_a_process_has_chosen_by_operators_is_left(make_network: MakeNetwork) -> None:
    if not hasattr(cudnn, "conv"):
        pytest.skip("this torch has no names for single operators")
    before = cudnn.conv.fp32_precision
    cudnn.conv.fp32_precision = "ieee"
    try:
        with emulated_device("cuda"):
            go_there_and_back(make_network(device="cuda"))
        assert cudnn.conv.fp32_precision == "ieee"
    finally:
        cudnn.conv.fp32_precision = before
    assert cudnn.allow_tf32  # the old names can be read again


def test_of_several_threads_the_last_one_sets_the_switches_back() -> None:
    cudnn = torch.backends.cudnn
    before, options = (cudnn.benchmark, cudnn.allow_tf32), CudaOptions(benchmark=True)
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(options.convolutions())
        second.enter_context(options.convolutions())
        assert (cudnn.benchmark, cudnn.allow_tf32) == (True, False)
        first.close()
        assert (cudnn.benchmark, cudnn.allow_tf32) == (True, False)
    assert (cudnn.benchmark, cudnn.allow_tf32) == before
