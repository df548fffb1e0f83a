"""VGG-19 as a feature extractor: names, sizes, and its arithmetic done again in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F

from helpers.tiny_network import TINY_CHANNELS, MakeNetwork
from nst.settings import LAYER_CHANNELS
from nst.vgg.network import POOLINGS, VGG, spread_average, unpool, unpool_anywhere, unpool_on_cpu
from nst.vgg.weights import original_path

Array = npt.NDArray[np.float64]


def random_image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(seed))


def convolve(x: Array, weight: Array, bias: Array) -> Array:
    """3×3 correlation of (in, H, W) padded with zeros, then ReLU, one shift after the other."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((weight.shape[0], height, width)) + bias[:, None, None]
    for i in range(3):
        for j in range(3):
            shifted = padded[:, i : i + height, j : j + width]
            out += np.einsum("oc,chw->ohw", weight[:, :, i, j], shifted)
    return np.maximum(out, 0)


def pool(x: Array, pooling: str) -> Array:
    """Blocks of 2×2; a last odd row or column is dropped."""
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    blocks = x[:, : 2 * rows, : 2 * columns].reshape(-1, rows, 2, columns, 2)
    pooled: Array = blocks.max(axis=(2, 4)) if pooling == "max" else blocks.mean(axis=(2, 4))
    return pooled


@pytest.mark.real
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_activations_equal_arithmetic_on_the_packed_parameters(
    real_network: VGG, monkeypatch: pytest.MonkeyPatch, pooling: str
) -> None:
    packed = torch.load(original_path(), weights_only=True)
    image = random_image(11, 12)

    def layer(x: Array, name: str) -> Array:
        table, codes = packed[f"{name}_W_table"].numpy(), packed[f"{name}_W_q"].numpy()
        weight = table.astype(np.float64)[codes]
        return convolve(x, weight, packed[f"{name}_b"].numpy().astype(np.float64))

    bgr = 255 * image[0].numpy().astype(np.float64)[::-1]
    x = bgr - np.array([103.939, 116.779, 123.68])[:, None, None]
    expected = {"relu1_1": (x := layer(x, "block1_conv1"))}
    expected["relu1_2"] = (x := layer(x, "block1_conv2"))
    expected["relu2_1"] = layer(pool(x, pooling), "block2_conv1")

    monkeypatch.setattr(real_network, "pooling", pooling)
    activations = real_network(image, expected)
    for name, values in expected.items():
        assert values.max() > 10, "nothing is compared where nothing fires"
        np.testing.assert_allclose(
            activations[name][0].numpy(), values, rtol=1e-4, atol=1e-5 * values.max()
        )


def test_every_layer_has_its_channels_and_its_size(network: VGG) -> None:
    activations = network(random_image(50, 37), LAYER_CHANNELS)
    assert list(activations) == list(LAYER_CHANNELS)
    sizes = {"1": (50, 37), "2": (25, 18), "3": (12, 9), "4": (6, 4), "5": (3, 2)}
    for name, activation in activations.items():
        block = name[len("relu")]
        assert activation.shape == (1, TINY_CHANNELS[block], *sizes[block])
        assert activation.min() == 0
        assert activation.max() > 0


def test_a_layer_is_the_same_whatever_else_is_asked_for(network: VGG) -> None:
    """No later layer may overwrite an earlier one in place."""
    image = random_image(20, 24)
    together = network(image, LAYER_CHANNELS)
    for name in LAYER_CHANNELS:
        assert torch.equal(network(image, [name])[name], together[name])


def test_activations_are_not_changed_by_the_next_call(network: VGG) -> None:
    first = network(random_image(20, 24), ["relu2_1"])["relu2_1"]
    kept = first.clone()
    network(random_image(20, 24, seed=1), ["relu2_1"])
    assert torch.equal(first, kept)


def test_the_image_is_not_changed(network: VGG) -> None:
    image = random_image(20, 24)
    network(image, ["relu5_4"])
    assert torch.equal(image, random_image(20, 24))


@pytest.mark.parametrize("name", ["relu1_3", "conv4_2", "RELU1_1", ""])
def test_unknown_layers_are_refused_with_the_list(network: VGG, name: str) -> None:
    with pytest.raises(ValueError, match="VGG-19 has ") as caught:
        network(random_image(20, 24), ["relu1_1", name])
    for part in (repr(name), *LAYER_CHANNELS):
        assert part in str(caught.value)


def test_unknown_pooling_is_refused_with_the_list(make_network: MakeNetwork) -> None:
    with pytest.raises(ValueError, match="pooling must be one of max, average, not 'median'"):
        make_network(pooling="median")


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", [(64, 3), (3, 64), (64, 1), (1, 1), (16, 16), (15, 33)])
def test_slivers_reach_the_deepest_layer(
    make_network: MakeNetwork, pooling: str, size: tuple[int, int]
) -> None:
    image = random_image(*size).requires_grad_()
    deepest = make_network(pooling=pooling)(image, ["relu5_4"])["relu5_4"]
    assert deepest.shape[2:] == tuple(max(1, side // 16) for side in size)
    (gradient,) = torch.autograd.grad(deepest.square().sum(), image)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_preprocessing_subtracts_the_mean_before_padding(network: VGG) -> None:
    """A picture of the mean colour looks like the zeros around it: only biases are left."""
    image = network.mean.expand(1, 3, 6, 7)
    activation = network(image, ["relu1_1"])["relu1_1"]
    bias = network.convolutions["relu1_1"].bias.relu().view(1, -1, 1, 1)
    torch.testing.assert_close(activation, bias.expand_as(activation))


def test_channels_are_red_green_blue(network: VGG) -> None:
    """One bright pixel in one channel shows that channel's kernel, turned by 180°."""
    first = network.convolutions["relu1_1"]
    weight, bias = first.weight, first.bias
    for channel in range(3):
        image = network.mean.expand(1, 3, 3, 3).clone()
        image[0, channel, 1, 1] += 0.1
        activation = network(image, ["relu1_1"])["relu1_1"][0]
        kernel = 25.5 * weight[:, channel].flip(1, 2)  # 0.1 of the 0–255 scale
        torch.testing.assert_close(activation, (kernel + bias[:, None, None]).relu())


@pytest.mark.parametrize("size", [(8, 6), (9, 7), (1, 8), (8, 1)], ids=str)
def test_maxima_get_their_gradient_alike_on_all_devices(size: tuple[int, int]) -> None:
    x = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    pooled, winners = F.max_pool2d(x, 2, ceil_mode=min(size) < 2, return_indices=True)
    gradient = torch.rand_like(pooled)
    (expected,) = torch.autograd.grad(pooled, x, gradient)
    for spread in (unpool, unpool_on_cpu, unpool_anywhere):
        assert torch.equal(spread(gradient, winners, x.shape), expected)


@pytest.mark.parametrize("size", [(8, 6), (9, 7), (1, 8), (8, 1)], ids=str)
def test_averages_share_their_gradient(size: tuple[int, int]) -> None:
    x = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    pooled = F.avg_pool2d(x, 2, ceil_mode=min(size) < 2)
    gradient = torch.rand_like(pooled)
    (expected,) = torch.autograd.grad(pooled, x, gradient)
    assert torch.equal(spread_average(gradient, x.shape), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_activations_have_the_networks_dtype(make_network: MakeNetwork, dtype: torch.dtype) -> None:
    activations = make_network(dtype=dtype)(random_image(20, 24), ["relu1_1", "relu4_2"])
    assert {a.dtype for a in activations.values()} == {dtype}
