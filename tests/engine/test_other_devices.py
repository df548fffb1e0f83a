"""The path that a run takes where the device is neither a CPU nor CUDA: Apple's MPS, Intel's XPU.

Neither can be emulated under its own name: a wheel without them refuses to index such tensors. The
engine asks of a device only whether it is a CPU or CUDA, so that any third one takes the same path;
`lazy` is one that every wheel knows. The operators that ran are held to PyTorch's own list of
kernels, native_functions.yaml, of the version that is installed. It tells which kernels there are,
and not for which dtypes or arguments they raise: no such device was there to try.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgen
from PIL import Image
from torch import Tensor
from torchgen.gen import parse_native_yaml
from torchgen.model import DispatchKey

from helpers.emulated_device import EmulatedDevice, emulated_device, is_emulated
from helpers.places import ROOT
from helpers.tiny_network import MakeNetwork
from nst.engine.optimizers import inverts_odd_widths, smooth
from nst.engine.transfer import transfer_style
from nst.settings import TransferSettings

DEVICE = "lazy:0"  # with its index: without one some operators add it, and others do not
BACKENDS = ("MPS", "XPU")

# Operators that the list calls composite have one piece of code for all devices, made of other
# operators that a dispatch mode does not see. Views and allocations launch nothing; copying, as
# `repeat` does, is part of every backend. For the others MADE_OF has the operators that they call
# in ATen's sources, each of which needs a kernel.
LAUNCH_NOTHING = {
    *("alias", "detach", "permute", "select.int", "slice.Tensor", "transpose.int", "unsqueeze"),
    *("empty.memory_format", "view"),
}
COPIES = {"_to_copy", "clone", "copy_", "repeat"}
MADE_OF = {
    "abs": ["abs.out"],
    "fft_fftfreq": ["arange.start_out", "mul_.Tensor"],
    "fft_rfftfreq": ["arange.start_out", "mul_.Tensor"],
    "masked_fill.Scalar": ["masked_fill_.Scalar"],
    "mean": ["mean.dim"],
    "new_zeros": ["zero_"],
    "rsub.Scalar": ["sub.Tensor"],
    "stack": ["cat"],
    "sum": ["sum.dim_IntList"],
    "zeros_like": ["zero_"],
}
# A convolution is composite as well. On MPS it calls this; on XPU "convolution_overrideable", whose
# kernel is registered in C++ beside the list (aten/src/ATen/native/mkldnn/xpu/Conv.cpp).
MPS_CONVOLUTION = "_mps_convolution"


@cache
def kernels() -> dict[str, Any]:
    """The functions of native_functions.yaml by name, and under "" where their kernels are."""
    folder = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native"
    parsed = parse_native_yaml(str(folder / "native_functions.yaml"), str(folder / "tags.yaml"))
    by_name = {str(function.func.name): function for function in parsed.native_functions}
    return {**by_name, "": parsed.backend_indices}


def has_kernel(name: str, backend: str) -> bool:
    """Whether the backend has a kernel of its own; a structured operator's is that of its `out`."""
    function = kernels()[name]
    while function.structured_delegate:
        function = kernels()[str(function.structured_delegate)]
    return bool(kernels()[""][DispatchKey[backend]].has_kernel(function))


def lacking(names: Iterable[str], backend: str) -> set[str]:
    """The operators that a backend cannot run by itself, of those with these names."""
    parts = set[str]()
    for name in set(names) - LAUNCH_NOTHING - COPIES:
        if name != "convolution":
            parts |= {*MADE_OF.get(name, [name])}
        elif backend == "MPS":
            parts.add(MPS_CONVOLUTION)
    return {part for part in parts if not has_kernel(part, backend)}


def names_of(operators: Iterable[Any]) -> set[str]:
    """Their names as the list has them: `mean`, `mean.dim`."""
    return {str(operator).removeprefix("aten.").removesuffix(".default") for operator in operators}


@pytest.fixture
def device() -> Iterator[EmulatedDevice]:
    with emulated_device("lazy") as device:
        yield device


def assert_runs_anywhere(device: EmulatedDevice) -> None:
    names = names_of(device.operators)
    assert {"convolution", "mm", "_fft_r2c"} & names  # it was here that it painted
    for backend in BACKENDS:
        assert lacking(names, backend) == set(), backend
    assert not {torch.float64, torch.complex128} & device.dtypes  # MPS has neither


def test_what_lacks_a_kernel_is_found() -> None:
    for backend in BACKENDS:
        assert lacking({"mm", "abs", "max_pool2d_with_indices", "convolution"}, backend) == set()
        assert lacking({"mm", "_mkldnn_transpose_"}, backend) == {"_mkldnn_transpose_"}
    assert lacking({"mm.dtype"}, "MPS") == {"mm.dtype"}  # the product that CUDA sums in float32


@pytest.mark.parametrize(
    ("pooling", "optimizer", "start"),
    [("max", "lbfgs", "recolored"), ("average", "lbfgs", "content"), ("max", "adam", "noise")],
)
def test_a_whole_run_has_only_operators_that_mps_and_xpu_have(
    device: EmulatedDevice,
    make_network: MakeNetwork,
    photo: Image.Image,
    painting: Image.Image,
    pooling: str,
    optimizer: str,
    start: str,
) -> None:
    settings = TransferSettings(
        size=64, iterations=22, pooling=pooling, optimizer=optimizer, restructure="much",
        total_variation=0.1, start=start,
    )  # fmt: skip
    network = make_network(device=DEVICE, pooling=pooling)
    *_, last = transfer_style(photo, [painting, painting], settings, network=network)
    assert is_emulated(last.pixels)
    assert last.image.size == (64, 48)
    alike = make_network(pooling=pooling)
    *_, reference = transfer_style(photo, [painting, painting], settings, network=alike)
    assert pytest.approx(reference.J, rel=0.05) == last.J  # rounding moves where a run gets to
    assert_runs_anywhere(device)


def test_a_run_that_goes_on_has_only_these_too(
    device: EmulatedDevice, make_network: MakeNetwork, photo: Image.Image, painting: Image.Image
) -> None:
    network = make_network(device=DEVICE)
    settings = TransferSettings(size=64, iterations=8)
    *_, step = transfer_style(photo, painting, settings, network=network)
    for changes in ({"iterations": 10, "beta": 3.0}, {"iterations": 12, "size": 96}):
        settings = settings.replace(**changes)
        *_, step = transfer_style(photo, painting, settings, begin=step.moment, network=network)
    assert step.image.size == (96, 72)
    assert_runs_anywhere(device)


def test_grey_pictures_have_only_these_too(
    device: EmulatedDevice, make_network: MakeNetwork, photo: Image.Image, painting: Image.Image
) -> None:
    greys = [picture.convert("L").convert("RGB") for picture in (photo, painting)]
    network = make_network(device=DEVICE)
    settings = TransferSettings(size=64, iterations=8)
    *_, last = transfer_style(greys[0], greys[1], settings, network=network)
    assert is_emulated(last.pixels)
    assert_runs_anywhere(device)


def test_a_fourier_transform_that_reverses_odd_widths_is_not_used(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = torch.fft.irfft2

    def reversing(spectrum: Tensor, s: tuple[int, int]) -> Tensor:
        image: Tensor = back(spectrum, s=s)
        return image.flip(-1) if s[-1] % 2 and is_emulated(image) else image

    pictures = [torch.arange(float(12 * width)).view(1, 3, 4, width) for width in (5, 6)]
    expected = [smooth(picture) for picture in pictures]
    inverts_odd_widths.cache_clear()
    assert inverts_odd_widths(torch.device(DEVICE))
    monkeypatch.setattr(torch.fft, "irfft2", reversing)
    inverts_odd_widths.cache_clear()
    assert not inverts_odd_widths(torch.device(DEVICE))
    assert inverts_odd_widths(torch.device("cuda"))  # without a trial, which would wait
    for picture, smoothed in zip(pictures, expected, strict=True):
        there = smooth(picture.to(DEVICE))
        assert is_emulated(there)
        torch.testing.assert_close(there.cpu(), smoothed)
    inverts_odd_widths.cache_clear()


def test_no_branch_of_the_engine_is_for_these_devices_alone() -> None:
    for path in [*(ROOT / "nst" / "engine").glob("*.py"), *(ROOT / "nst" / "vgg").glob("*.py")]:
        if path.name != "devices.py":  # which finds out what is there
            assert not re.search(r'"(mps|xpu|lazy)"', path.read_text(encoding="utf-8")), path
