"""Runs with masks: regions, what is kept of the photo, and a start of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

import nst.engine.inputs
import nst.engine.memory
import nst.engine.starting_picture
from helpers.pictures import MakePicture
from helpers.places import DRAWN, EXAMPLES
from helpers.tiny_network import MakeNetwork
from nst import Masks, PaintingUse, TransferSettings, load_image, stylize, transfer_style
from nst.engine.inputs import Sources
from nst.engine.losses import normalized_gram_matrix
from nst.engine.minimization import RunState
from nst.engine.regions import Regions
from nst.engine.schedule import Moment, Scale
from nst.engine.seamless import keep_mask
from nst.engine.starting_picture import keeps_detail, starting_picture
from nst.engine.transfer import TransferStep
from nst.errors import ImageError, SettingsError
from nst.images.color import color_statistics
from nst.images.color_transfer import match_painting
from nst.images.tensors import fit, to_16_bits, to_tensor
from nst.images.transforms import part_taken
from nst.vgg.network import VGG

# No layer lies beyond the content layer: nothing of an evaluation depends on the one before.
SMALL = TransferSettings(size=64, iterations=12, content_layer="relu5_1")


def ramp(width: int = 80, height: int = 60, begin: float = 0.4, end: float = 0.6) -> Image.Image:
    """Black on the left, white on the right, and a soft edge between two shares of the width."""
    values = ((np.arange(width) + 0.5) / width - begin) / (end - begin)
    row = (255 * values.clip(0, 1)).round().astype(np.uint8)
    return Image.fromarray(np.tile(row, (height, 1)))


def inverted(mask: Image.Image) -> Image.Image:
    return mask.point(lambda value: 255 - value)


BILINEAR = Image.Resampling.BILINEAR
LEFT, RIGHT = inverted(ramp()), ramp()


@pytest.fixture
def paintings(make_picture: MakePicture) -> list[Image.Image]:
    return [make_picture(50, 70, seed=2), make_picture(64, 40, seed=5)]


def last_of(*arguments: Any, **options: Any) -> TransferStep:
    *_, last = transfer_style(*arguments, **options)
    return last


# --- Regions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["recolored", "content", "noise"])
def test_a_run_is_the_same_for_pairs_in_any_order(
    network: VGG, photo: Image.Image, paintings: list[Image.Image], start: str
) -> None:
    settings = SMALL.replace(start=start)
    first = last_of(photo, paintings, settings, masks=Masks((LEFT, RIGHT)), network=network)
    other = last_of(photo, paintings[::-1], settings, masks=Masks((RIGHT, LEFT)), network=network)
    assert torch.equal(first.pixels, other.pixels)
    assert first.J == other.J


def test_a_blend_is_the_same_in_any_order(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    uses = (PaintingUse(weight=0.3), PaintingUse(weight=2.0))
    first = last_of(photo, paintings, SMALL.replace(paintings=uses), network=network)
    other = last_of(photo, paintings[::-1], SMALL.replace(paintings=uses[::-1]), network=network)
    assert torch.equal(first.pixels, other.pixels)


def test_a_run_with_one_painting_twice_or_one_of_weight_0_is_a_run_with_one(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    painting, other = paintings
    once = last_of(photo, painting, SMALL, network=network)
    twice = last_of(photo, [painting, painting], SMALL, network=network)
    assert torch.equal(once.pixels, twice.pixels)
    absent = SMALL.replace(paintings=(PaintingUse(), PaintingUse(weight=0)))
    beside = last_of(photo, [painting, other], absent, masks=Masks((None, LEFT)), network=network)
    assert torch.equal(once.pixels, beside.pixels)


def test_a_painting_is_cropped_turned_and_scaled_as_it_is_used(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    """As if somebody had done so before; the part that is taken is turned with it."""
    painting, _ = paintings  # 50 × 70
    part = ramp(50, 70)
    use = PaintingUse(crop=(0, 0, 1, 0.5), mirror=True, rotation=90, scale=0.5)
    beforehand, its_part = (
        each.crop((0, 0, 50, 35))
        .transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        .transpose(Image.Transpose.ROTATE_90)
        for each in (painting, part)
    )
    turned = last_of(
        photo, painting, SMALL.replace(paintings=(use,)), masks=Masks(within=(part,)),
        network=network,
    )  # fmt: skip
    expected = last_of(
        photo, beforehand, SMALL.replace(style_scale=0.5), masks=Masks(within=(its_part,)),
        network=network,
    )  # fmt: skip
    assert torch.equal(turned.pixels, expected.pixels)


def test_along_the_weights_a_picture_goes_from_one_painting_to_the_other(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    layers = SMALL.style_layers

    def grams(pixels: Tensor) -> dict[str, Tensor]:
        walk = network.walk(pixels, layers)
        return {layer: normalized_gram_matrix(activation) for layer, activation in walk}

    def distance(pixels: Tensor, painting: Image.Image) -> float:
        ours, theirs = grams(pixels), grams(to_tensor(fit(painting, 64)))
        return sum(float((ours[layer] - theirs[layer]).norm()) for layer in layers)

    heavy = SMALL.replace(alpha=0.01, beta=10.0, iterations=30)
    distances = []
    for weight in (0.0, 2.5, 5.0, 7.5, 10.0):
        uses = (PaintingUse(weight=weight), PaintingUse(weight=10 - weight))
        last = last_of(photo, paintings, heavy.replace(paintings=uses), network=network)
        distances.append([distance(last.pixels, painting) for painting in paintings])
    first, second = zip(*distances, strict=True)
    assert list(first) == sorted(first, reverse=True)
    assert list(second) == sorted(second)


def test_each_region_starts_in_the_colours_of_its_own_painting(
    network: VGG, photo: Image.Image
) -> None:
    red, blue = (Image.new("RGB", (40, 40), color) for color in ((200, 40, 40), (30, 30, 180)))
    masks = Masks((LEFT, RIGHT))
    first = next(transfer_style(photo, [red, blue], SMALL, masks=masks, network=network))
    left, right = first.pixels[..., :20], first.pixels[..., -20:]
    whole = [next(transfer_style(photo, each, SMALL, network=network)) for each in (red, blue)]
    torch.testing.assert_close(left, whole[0].pixels[..., :20], atol=1e-6, rtol=0)
    torch.testing.assert_close(right, whole[1].pixels[..., -20:], atol=1e-6, rtol=0)


def test_a_large_start_is_made_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    photo, *paintings = (torch.rand(1, 3, 40, 50, generator=generator) for _ in range(3))
    mask = torch.randint(0, 256, (1, 1, 40, 50), generator=generator, dtype=torch.uint8)
    regions = Regions([PaintingUse()] * 2, [None, 0], mask, keep=mask // 2)
    whole = starting_picture(photo, paintings, SMALL, regions)
    monkeypatch.setattr(nst.engine.starting_picture, "BAND", 7 * 50)
    assert torch.equal(starting_picture(photo, paintings, SMALL, regions), whole)
    colored = (255 * photo).round().to(torch.uint8)
    of_bytes = starting_picture(colored, paintings, SMALL, regions)
    torch.testing.assert_close(of_bytes, whole, atol=0.01, rtol=0)


def test_the_start_has_the_mean_colours_of_the_paintings_by_weight() -> None:
    generator = torch.Generator().manual_seed(0)
    photo, one, other = (torch.rand(1, 3, 40, 50, generator=generator) for _ in range(3))
    one, other = 0.2 + 0.3 * one, 0.5 + 0.2 * other
    uses = (PaintingUse(weight=3.0), PaintingUse(weight=1.0))
    start = starting_picture(photo, [one, other], SMALL.replace(paintings=uses))
    mean, covariance = color_statistics(start)
    expected = color_statistics(torch.cat([one, one, one, other], dim=3))
    torch.testing.assert_close(mean, expected[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(covariance, expected[1], atol=2e-3, rtol=0)


def test_each_region_comes_near_its_own_painting(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    settings = SMALL.replace(start="content", alpha=0.01, iterations=30)
    masks = Masks((LEFT, RIGHT))
    steps = list(transfer_style(photo, paintings, settings, masks=masks, network=network))
    assert steps[-1].J < 0.5 * steps[0].J

    def gram(pixels: Tensor) -> Tensor:
        return normalized_gram_matrix(network(pixels, ["relu1_1"])["relu1_1"])

    halves = steps[-1].pixels[..., :24], steps[-1].pixels[..., -24:]
    wanted = [gram(to_tensor(fit(painting, 64))) for painting in paintings]
    for number, half in enumerate(halves):
        distances = [float((gram(half) - each).norm()) for each in wanted]
        assert distances[number] < distances[1 - number]


def test_a_run_goes_on_with_its_masks_as_if_it_had_never_stopped(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    masks = Masks((LEFT, RIGHT), keep=ramp(begin=0.7, end=0.9))

    def in_passages(*counts: int) -> Tensor:
        begin = None
        for count in counts:
            settings = SMALL.replace(iterations=count)
            step = last_of(photo, paintings, settings, masks=masks, begin=begin, network=network)
            begin = step.moment
        return step.pixels

    assert torch.equal(in_passages(12, 20), in_passages(12, 13, 14, 20))


def test_a_state_is_bound_to_its_masks(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    masks = Masks((LEFT, RIGHT))
    step = last_of(photo, paintings, SMALL, masks=masks, network=network)
    assert isinstance(step.state, RunState)
    pictures = (photo, *paintings)
    assert step.state.fits((*pictures, *masks.listed(2)), SMALL)
    for others in (Masks((LEFT, None)), Masks((RIGHT, LEFT)), Masks(), Masks((LEFT, RIGHT), LEFT)):
        assert not step.state.fits((*pictures, *others.listed(2)), SMALL)


@pytest.mark.parametrize("changes", [{"weight": 4.0}, {"strength": 3.0}, {"layers": ("relu1_1",)}])
def test_an_edit_of_a_painting_goes_on_from_the_state(
    network: VGG,
    photo: Image.Image,
    paintings: list[Image.Image],
    changes: dict[str, Any],
) -> None:
    masks = Masks((LEFT, LEFT))
    moment = last_of(photo, paintings, SMALL, masks=masks, network=network).moment
    edited = SMALL.replace(iterations=20, paintings=(PaintingUse(**changes),))
    steps = list(
        transfer_style(photo, paintings, edited, masks=masks, begin=moment, network=network)
    )
    assert steps[0].image == moment.picture
    costs = [step.J for step in steps[:-1]]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


def test_a_run_with_masks_grows(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    """Through several sizes, with the base-size term, and on from a smaller picture."""
    masks = Masks((LEFT, RIGHT), keep=ramp(begin=0.8, end=0.85))
    settings = TransferSettings(size=300, base_size=128, iterations=16)
    steps = list(transfer_style(photo, paintings, settings, masks=masks, network=network))
    assert [step.width for step in steps] == sorted(step.width for step in steps)
    assert_kept(steps[-1], photo, masks)
    smaller = last_of(photo, paintings, SMALL, masks=masks, network=network)
    larger = SMALL.replace(size=128, iterations=16)
    begin = Moment(smaller.image, 12)
    steps = list(
        transfer_style(photo, paintings, larger, masks=masks, begin=begin, network=network)
    )
    assert_kept(steps[0], photo, masks)
    assert_kept(steps[-1], photo, masks)
    enlarged = np.asarray(smaller.image.resize((128, 96)), np.float32)
    assert np.abs(np.asarray(steps[0].image, np.float32) - enlarged).mean() < 12


@pytest.mark.parametrize("start", ["recolored", "noise"])
def test_a_run_with_masks_in_tiles_ends_like_one_without(
    network: VGG,
    photo: Image.Image,
    paintings: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
    start: str,
) -> None:
    settings = SMALL.replace(size=128, base_size=128, restructure="much", start=start)
    masks = Masks((LEFT, None), keep=ramp(begin=0.8, end=0.85), within=(None, ramp(64, 40)))
    whole = last_of(photo, paintings, settings, masks=masks, network=network)
    memory = nst.engine.memory
    monkeypatch.setattr(memory, "NEVER_TILED", 4000)
    monkeypatch.setattr(memory, "AT_ONCE", 4000)
    monkeypatch.setattr(memory, "SIDES", (48,))
    monkeypatch.setattr(nst.engine.inputs, "available_memory", lambda _: None)
    tiled = last_of(photo, paintings, settings, masks=masks, network=network)
    assert tiled.state is None
    assert pytest.approx(whole.J, rel=0.01) == tiled.J
    assert float((tiled.pixels - whole.pixels).abs().mean()) < 1 / 255
    assert_kept(tiled, photo, masks)


def test_a_seamless_run_has_masks_that_pass_into_themselves(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    settings = SMALL.replace(edges="seamless")
    sources = Sources(photo, paintings, settings, network, Masks((LEFT, RIGHT)))
    regions = sources.at(64).regions
    left, right = regions.weights()
    assert left.shape[-2:] == (48, 64)
    torch.testing.assert_close(left + right, torch.ones_like(left), atol=0.02, rtol=0)
    assert float((left[..., 0] - left[..., -1]).abs().max()) < 0.2  # where it was 1 and 0
    step = last_of(photo, paintings, settings, masks=Masks((LEFT, RIGHT), LEFT), network=network)
    assert (step.width, step.height) == (64, 48)
    assert np.isfinite(step.J)


def test_regions_go_through_on_the_narrow_formats(
    make_network: MakeNetwork, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    masks = Masks((LEFT, RIGHT), ramp(begin=0.8, end=0.85))
    narrow, wide = (
        last_of(photo, paintings, SMALL, masks=masks, network=make_network(dtype=dtype))
        for dtype in (torch.bfloat16, torch.float32)
    )
    assert pytest.approx(wide.J, rel=0.2) == narrow.J
    assert_kept(narrow, photo, masks)


def test_masks_are_looked_at_before_anything_is_painted(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    with pytest.raises(ImageError, match="is black everywhere"):
        next(transfer_style(photo, painting, masks=Masks((Image.new("L", (80, 60)),))))
    nothing = SMALL.replace(paintings=(PaintingUse(weight=0),))
    with pytest.raises(SettingsError, match="are all 0"):
        next(transfer_style(photo, painting, nothing))


# --- What is kept ------------------------------------------------------------------------------


def fully_kept(masks: Masks, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    assert masks.keep is not None
    is_kept: npt.NDArray[np.bool_] = np.asarray(masks.keep.resize(size, BILINEAR)) == 255
    return is_kept


def assert_kept(step: TransferStep, photo: Image.Image, masks: Masks) -> None:
    """Where the mask is white there are the photo's own values, with 8 bits and with 16."""
    is_kept = fully_kept(masks, step.image.size)
    own = np.asarray(fit(photo, max(step.image.size)))
    assert 0 < is_kept.mean() < 1
    assert (np.asarray(step.image)[is_kept] == own[is_kept]).all()
    assert (to_16_bits(step.pixels)[is_kept] == 257 * own[is_kept].astype(int)).all()


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_what_is_kept_is_the_photo_in_every_step(
    network: VGG, photo: Image.Image, painting: Image.Image, optimizer: str
) -> None:
    masks, settings = Masks(keep=RIGHT), SMALL.replace(optimizer=optimizer)
    for step in transfer_style(photo, painting, settings, masks=masks, network=network):
        assert_kept(step, photo, masks)
        moved = np.abs(np.asarray(step.image, int) - np.asarray(fit(photo, 64), int)).max(axis=2)
        share = 1 - np.asarray(RIGHT.resize((64, 48), BILINEAR)) / 255
        assert (moved <= 255 * share + 1).all()  # as far as the mask lets it
    assert moved[:, :20].mean() > 5


def test_kept_colour_noise_is_the_photo_s_own(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    grey = np.asarray(photo.convert("L").convert("RGB")).copy()
    grey[::2, ::2, 0] += 1
    noisy, masks = Image.fromarray(grey), Masks(keep=RIGHT)
    step = last_of(
        noisy, painting.convert("L"), SMALL.replace(size=80), masks=masks, network=network
    )
    assert_kept(step, noisy, masks)


def test_the_gradient_of_what_is_painted(make_network: MakeNetwork, photo: Image.Image) -> None:
    network = make_network(dtype=torch.float64)
    masks = Masks(keep=RIGHT)
    sources = Sources(photo, [photo.rotate(90, expand=True)], SMALL, network, masks)
    objective = sources.cost_function(Scale(64, ((None, 1),), base=32), sources.at(64))
    generator = torch.Generator().manual_seed(1)
    image, other = (
        torch.rand(1, 3, 48, 64, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    _, gradient = objective.evaluate(image)
    direction = other - 0.5 + 0.5 * gradient / gradient.abs().max()
    ahead, behind = (objective.evaluate(image + step * direction)[0].goal for step in (1e-4, -1e-4))
    assert (ahead - behind) / 2e-4 == pytest.approx(float((gradient * direction).sum()), rel=1e-3)
    assert bool((gradient[..., -20:] == 0).all())


def test_a_run_goes_on_from_a_composed_picture(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    masks = Masks(keep=RIGHT)
    stopped = last_of(photo, painting, SMALL, masks=masks, network=network)
    begin = Moment(stopped.image, 12)
    steps = list(
        transfer_style(
            photo,
            painting,
            SMALL.replace(iterations=16),
            masks=masks,
            begin=begin,
            network=network,
        )
    )
    difference = np.asarray(steps[0].image, int) - np.asarray(stopped.image, int)
    assert np.abs(difference).max() <= 1
    assert_kept(steps[-1], photo, masks)
    assert steps[-1].J <= steps[0].J


def test_the_colours_of_a_cropped_painting_are_those_of_its_part(
    photo: Image.Image, painting: Image.Image, network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    other_half = Image.new("RGB", painting.size, (255, 40, 0))
    double = Image.new("RGB", (2 * painting.width, painting.height))
    double.paste(painting, (0, 0))
    double.paste(other_half, (painting.width, 0))
    settings = SMALL.replace(colors=1.0)
    half = PaintingUse(crop=(0.0, 0.0, 0.5, 1.0))
    cropped = stylize(photo, double, settings.replace(paintings=(half,)))
    assert cropped == stylize(photo, painting, settings)


def test_the_dial_counts_the_colours_of_the_part_that_is_taken(
    photo: Image.Image, painting: Image.Image, network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not taken of it makes no difference beyond what layers see across the edge."""
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    part = ramp(*painting.size, begin=0.5, end=0.51)
    masks, settings = Masks(within=(part,)), SMALL.replace(colors=1.0)
    other = painting.copy()
    other.paste((255, 40, 0), (0, 0, painting.width // 2 - 8, painting.height))
    first, second = (
        np.asarray(stylize(photo, each, settings, masks=masks), dtype=int)
        for each in (painting, other)
    )
    whole = np.asarray(stylize(photo, other, settings), dtype=int)
    assert 4 * np.abs(first - second).mean() < np.abs(whole - second).mean()


def test_a_painting_is_matched_to_the_photo_by_the_part_that_is_taken(
    photo: Image.Image, painting: Image.Image, network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if somebody had matched it beforehand."""
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    part = ramp(*painting.size)
    masks, settings = Masks(within=(part,)), SMALL.replace(color_transfer="monge")
    beforehand = match_painting(part_taken(painting, part), photo, "monge")
    assert beforehand != match_painting(painting, photo, "monge")
    expected = stylize(photo, beforehand, SMALL, masks=masks)
    assert stylize(photo, painting, settings, masks=masks) == expected


@pytest.mark.parametrize("colors", [-1.0, -0.3, 0.5, 1.0])
def test_dialled_colours_leave_what_is_kept(
    photo: Image.Image,
    painting: Image.Image,
    network: VGG,
    monkeypatch: pytest.MonkeyPatch,
    colors: float,
) -> None:
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    masks = Masks(keep=RIGHT)
    picture = stylize(photo, painting, SMALL.replace(colors=colors), masks=masks)
    is_kept = fully_kept(masks, picture.size)
    assert (np.asarray(picture)[is_kept] == np.asarray(fit(photo, 64))[is_kept]).all()
    plain = stylize(photo, painting, SMALL, masks=masks)
    assert picture != plain


def test_a_seamless_picture_has_dialled_colours_where_the_mask_has_moved_too(
    photo: Image.Image,
    painting: Image.Image,
    network: VGG,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nst.engine.devices.load_network", lambda *_: network)
    masks, seamless = Masks(keep=LEFT), SMALL.replace(edges="seamless")
    plain = stylize(photo, painting, seamless, masks=masks)
    dialled = stylize(photo, painting, seamless.replace(colors=1.0), masks=masks)
    kept = keep_mask(masks, photo, seamless)
    assert kept is not None
    whole = np.asarray(kept.resize((64, 48), BILINEAR)) == 255
    assert 0 < whole.mean() < 0.5
    assert (np.asarray(dialled)[whole] == np.asarray(plain)[whole]).all()
    assert (np.asarray(dialled)[~whole] != np.asarray(plain)[~whole]).any()
    assert keep_mask(masks, photo, SMALL) is LEFT
    assert keep_mask(None, photo, seamless) is None


# --- A start of one's own ----------------------------------------------------------------------


@pytest.mark.parametrize("start", ["recolored", "noise"])
def test_a_run_starts_from_a_picture_of_one_s_own(
    network: VGG, photo: Image.Image, painting: Image.Image, make_picture: MakePicture, start: str
) -> None:
    own, settings = make_picture(90, 90, seed=8), SMALL.replace(start=start, iterations=4)
    steps = list(transfer_style(photo, painting, settings, init=own, network=network))
    cropped = own.resize((64, 48), Image.Resampling.LANCZOS, box=(0, 11.25, 90, 78.75))
    difference = np.asarray(steps[0].image, int) - np.asarray(cropped, int)
    assert np.abs(difference).max() <= 2
    assert steps[-1].J < steps[0].J
    assert steps[-1].image != last_of(photo, painting, settings, network=network).image


def test_grey_pictures_start_from_a_grey_one(
    network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    grey = [each.convert("L").convert("RGB") for each in (photo, painting)]
    step = last_of(*grey, SMALL, init=photo, network=network)
    assert torch.equal(step.pixels[:, 0], step.pixels[:, 2])


@pytest.mark.parametrize("start", ["content", "noise"])
def test_two_starts_are_mixed(
    network: VGG, photo: Image.Image, painting: Image.Image, make_picture: MakePicture, start: str
) -> None:
    own = make_picture(90, 90, seed=8)

    def first(weight: float, init: Image.Image | None = own) -> Tensor:
        settings = SMALL.replace(start=start, init_weight=weight)
        steps = transfer_style(photo, painting, settings, init=init, network=network)
        return next(iter(steps)).pixels

    mine, usual = first(1.0), first(1.0, None)
    assert not torch.equal(mine, usual)
    assert torch.equal(first(0.0), usual)
    mixed = first(0.25)
    torch.testing.assert_close(mixed, 0.25 * mine + 0.75 * usual, atol=2e-3, rtol=0)


def test_a_mixed_start_brings_no_noise_to_larger_scales() -> None:
    noise = SMALL.replace(start="noise")
    assert keeps_detail(noise, has_own=True)
    assert not keeps_detail(noise.replace(init_weight=0.5), has_own=True)
    assert keeps_detail(SMALL.replace(init_weight=0.5), has_own=True)


# --- The real network --------------------------------------------------------------------------


@pytest.mark.real
def test_a_soft_seam_is_not_grey(real_network: VGG) -> None:
    """One painting on both sides of a wide seam: contrast in it is that of the sides."""
    photo = fit(load_image(EXAMPLES / "content" / "castle.jpg"), 192)
    painting = load_image(DRAWN / "night_impasto.jpg")
    other = painting.transpose(Image.Transpose.FLIP_LEFT_RIGHT)  # nearly the same style
    right = ramp(*photo.size, 0.3, 0.7)
    settings = TransferSettings(size=192, iterations=30, alpha=0.1, start="noise")
    masks = Masks((inverted(right), right))
    step = last_of(photo, [painting, other], settings, masks=masks, network=real_network)
    assert seam_contrast(step) > 0.8


def seam_contrast(step: TransferStep) -> float:
    """Return the contrast in the middle fifth, over the mean of that of the outer quarters."""
    grey = step.pixels.mean(1)[0]
    width = grey.shape[-1]
    left, right = grey[:, : width // 4].std(), grey[:, -(width // 4) :].std()
    middle = grey[:, 2 * width // 5 : 3 * width // 5].std()
    return float(2 * middle / (left + right))


@pytest.mark.real
def test_the_real_network_paints_regions_in_bfloat16(real_network: VGG) -> None:
    photo = fit(load_image(EXAMPLES / "content" / "castle.jpg"), 128)
    paintings = [load_image(DRAWN / "night_impasto.jpg"), photo.rotate(180)]
    masks = Masks((ramp(*photo.size), None), keep=ramp(*photo.size, 0.9, 0.95))
    settings = TransferSettings(size=128, iterations=8, precision="bfloat16")
    narrow = last_of(photo, paintings, settings, masks=masks, device="cpu")
    wide = last_of(photo, paintings, settings, masks=masks, network=real_network)
    assert pytest.approx(wide.J, rel=0.1) == narrow.J
    assert_kept(narrow, photo, masks)


def test_what_is_kept_has_its_colours_where_luminance_alone_is_painted(
    network: VGG, photo: Image.Image, paintings: list[Image.Image]
) -> None:
    settings = SMALL.replace(color_transfer="luminance")
    step = last_of(photo, paintings[0], settings, masks=Masks(keep=LEFT), network=network)
    ours, theirs = (np.asarray(each, dtype=int) for each in (step.image, fit(photo, 64)))
    differences = abs(ours - theirs)
    assert differences[:, :24].max() <= 2
    assert differences[:, 40:].max() > 10
