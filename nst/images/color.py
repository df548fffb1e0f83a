"""Colour: give one picture the colours of another, all of them or a share.

Knows only pixels: (1, 3, H, W) float32 RGB tensors in [0, 1], and pictures.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import torch
from PIL import Image, ImageChops, ImageStat
from torch import Tensor

from nst.images.tensors import fit, fitted_size, mask_bytes, to_image, to_tensor, to_unit

LUMA = (0.299, 0.587, 0.114)  # of R, G and B; ITU-R BT.601
STATISTICS_SIDE = 512  # pixels; a larger painting has the same mean and covariance
COLOR_NOISE = 3  # levels between the channels of a pixel that is grey all the same
NOISE_FLOOR = 1.5 / 255  # standard deviation; a colour direction below it is noise
BAND = 2**22  # pixels that are worked out in float64 at once
MOST_GAIN = 7.0  # of a colour direction; ordinary photos seldom need more


def dial_colors(
    painted: Image.Image,
    photo: Image.Image,
    paintings: Sequence[Image.Image],
    amount: float,
    *,
    keep: Image.Image | None = None,
) -> Image.Image:
    """Return a finished picture with its colours moved by `amount`, at once.

    −1 is the photo's own colours (the luminance alone is painted, as in Gatys et al. 2016,
    "Preserving color", section 2), 0 leaves it as it is, 1 is the mean and covariance of the
    paintings' colours. `keep` is white where the picture stays as it is, mode "L" of any size.
    """
    if amount == 0:
        return painted
    return to_image(dial_pixels(to_tensor(painted), photo, paintings, amount, keep=keep))


def dial_pixels(
    image: Tensor,
    photo: Image.Image,
    paintings: Sequence[Image.Image],
    amount: float,
    *,
    keep: Image.Image | None = None,
) -> Tensor:
    """Return pixels, (1, 3, H, W) RGB in [0, 1], with their colours moved as by `dial_colors`.

    The result is not rounded, for pictures of more than 8 bits per channel.
    """
    if amount == 0:
        return image
    if amount < 0:
        size = (image.shape[-1], image.shape[-2])
        photo = without_color_noise(photo).resize(size)
        target = with_luminance(to_tensor(photo).to(image.device), image)
    else:
        small = [fit(without_color_noise(painting), STATISTICS_SIDE) for painting in paintings]
        target = match_colors(image, all_colors(list(map(counted_colors, small))))
    if keep is None:
        return image.lerp(target, abs(amount))
    kept = mask_bytes(keep, (image.shape[-1], image.shape[-2])).to(image) / 255
    return image.lerp(target, abs(amount) * (1 - kept))


def has_color(picture: Image.Image) -> bool:
    """Return whether a picture shows colour, and not only colour noise.

    A picture is grey where the channels of a pixel differ by `COLOR_NOISE` levels on average, and
    nowhere by more once noise is averaged away over 4 x 4 pixels: a black-and-white print as
    cameras and JPEG files have it, and no picture with one small coloured thing in it.
    """
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    sample = picture.resize(
        fitted_size(picture.size, min(max(picture.size), STATISTICS_SIDE)), Image.Resampling.NEAREST
    )
    if ImageStat.Stat(_spread(sample)).mean[0] > 2 * COLOR_NOISE:
        return True  # at a glance: large photos would take a tenth of a second
    fine = picture.reduce(max(1, max(picture.size) // STATISTICS_SIDE))
    mean = ImageStat.Stat(_spread(fine)).mean[0]
    most = ImageStat.Stat(_spread(fine.reduce(4))).extrema[0][1]
    return mean > COLOR_NOISE or most > COLOR_NOISE


def to_grey(picture: Image.Image) -> Image.Image:
    """Return a picture whose three channels are the luminance; a grey one stays as it is.

    It is RGB, or RGBA where the picture is.
    """
    grey = picture.convert("RGB").convert("L").convert("RGB")
    if picture.mode == "RGBA":
        grey.putalpha(picture.getchannel("A"))
    return grey


def without_color_noise(picture: Image.Image) -> Image.Image:
    """Return the picture itself, or pure grey where it only has colour noise."""
    return picture if has_color(picture) else to_grey(picture)


def _spread(picture: Image.Image) -> Image.Image:
    """Return the difference between the largest and the smallest channel of each pixel."""
    red, green, blue = picture.split()
    largest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    smallest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return ImageChops.subtract(largest, smallest)


def is_grey(image: Tensor) -> bool:
    """Return whether the three channels of (1, 3, H, W) are equal."""
    return bool((image[:, :1] == image[:, 1:]).all())


def with_luminance(photo: Tensor, image: Tensor) -> Tensor:
    """Return the colours of `photo` at the brightness of `image`: YIQ's Y replaced."""
    weights = photo.new_tensor(LUMA).view(1, 3, 1, 1)
    brighter = ((image - photo) * weights).sum(1, keepdim=True)
    return (photo + brighter).clamp(0, 1)


def all_colors(pictures: Sequence[Tensor]) -> Tensor:
    """Return the pixels of several pictures as one, (1, 3, 1, pixels)."""
    return torch.cat([picture.flatten(2) for picture in pictures], dim=2).unsqueeze(2)


def counted_colors(picture: Image.Image) -> Tensor:
    """Return the colours of an RGB or RGBA picture that count for its statistics, (1, 3, h, w).

    Those that are transparent do not: of an RGBA picture they are the others, in one row.
    """
    colors = to_tensor(picture)
    if picture.mode != "RGBA":
        return colors
    return colors_within(colors, mask_bytes(picture.getchannel("A"), picture.size))


def colors_within(colors: Tensor, mask: Tensor) -> Tensor:
    """Return the pixels of (1, 3, H, W) that are within a mask, (1, 3, 1, pixels).

    The mask, (1, 1, H, W) bytes, is at least half as white there as anywhere; of a black one all
    pixels are returned.
    """
    weights = mask[0, 0].to(colors.device)
    most = int(weights.max())
    return colors[:, :, weights >= max(1, most / 2)].unsqueeze(2) if most else colors


ColorStatistics = tuple[Tensor, Tensor]
"""Mean (3, 1) and covariance (3, 3) of the colours of a picture, or of several, in float64."""


def blend_statistics(weighed: Iterable[tuple[ColorStatistics, float]]) -> ColorStatistics:
    """Return the statistics of several pictures, each with its share; the shares sum to 1."""
    parts = list(weighed)
    mean = functools.reduce(torch.add, (share * its_mean for (its_mean, _), share in parts))
    covariances = (
        share * (covariance + (its_mean - mean) @ (its_mean - mean).T)
        for (its_mean, covariance), share in parts
    )
    return mean, functools.reduce(torch.add, covariances)


def match_colors(image: Tensor, reference: Tensor | ColorStatistics) -> Tensor:
    """Return `image` with the mean and the full RGB covariance of `reference`, inside [0, 1].

    It is Monge's map, see `color_map`, the smallest change of colours that does it.
    """
    moving, mean, target_mean = color_map(image, reference)
    dtype = image.dtype if image.is_floating_point() else torch.float32
    matched = torch.empty(image.shape, dtype=dtype, device=image.device)
    for band, place in zip(_bands(image), _bands(matched), strict=True):
        moved = moving @ (_pixels(band) - mean) + target_mean
        place.copy_(moved.view_as(band[0]).clamp_(0, 1).unsqueeze(0))
    return matched


def color_map(
    image: Tensor,
    reference: Tensor | ColorStatistics,
    method: str = "monge",
    *,
    ridge: float = 1e-6,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the affine map of colours that takes the statistics of one picture to another's.

    p′ = M (p − m) + m′ has the mean and the covariance of `reference`, see `linear_map` for M. A
    departure: no direction of `image`'s colours is amplified without limit, see `_limited`.

    Args:
        image: (1, 3, H, W) RGB in [0, 1], as sRGB has it, not linear light.
        reference: the same of another size, or its statistics.
        method: monge, pca or cholesky.
        ridge: added to the variances, so that a flat picture has an inverse.

    Returns:
        M (3, 3), m (3, 1) and m′ (3, 1), float64.
    """
    mean, covariance = color_statistics(image, ridge)
    if isinstance(reference, Tensor):
        reference = color_statistics(reference, ridge)
    target_mean, target_covariance = reference
    transport = linear_map(covariance, target_covariance, method)
    return _limited(transport, covariance), mean, target_mean


def linear_map(covariance: Tensor, target: Tensor, method: str = "monge") -> Tensor:
    """Return a matrix T with T A Tᵀ = B, for covariances A and B, (3, 3) float64.

    Such a T is determined but for a rotation. `monge` is the optimal transport between two
    Gaussians, T = A^−½ (A^½ B A^½)^½ A^−½. Gatys et al. 2016, "Preserving color in neural artistic
    style transfer", have the other two: `pca` is T = B^½ A^−½ with symmetric roots (Hertzmann's
    image analogies), and `cholesky` is T = L_B L_A⁻¹. Raises `ValueError` for another method.
    """
    if method == "cholesky":
        lower, target_lower = map(torch.linalg.cholesky, (covariance, target))
        triangular: Tensor = target_lower @ torch.linalg.inv(lower)
        return triangular
    inverse_root = _matrix_power(covariance, -0.5)
    if method == "pca":
        return _matrix_power(target, 0.5) @ inverse_root
    if method != "monge":
        raise ValueError(f"method must be monge, pca or cholesky, not {method!r}")
    root = _matrix_power(covariance, 0.5)
    return inverse_root @ _matrix_power(root @ target @ root, 0.5) @ inverse_root


def _limited(transport: Tensor, covariance: Tensor) -> Tensor:
    """Limit how much `transport` amplifies any direction of the colours with this covariance.

    A nearly grey photo would get its colour noise and the blocks of its JPEG file blown up to the
    full colours of the painting. So the two weaker principal directions are dropped below
    `NOISE_FLOOR` and gradually let in up to twice that, and no gain is above `MOST_GAIN`. The
    strongest direction, mostly the luminance, keeps the colour that it gets. Where nothing is above
    these limits, the transport is returned as it is.
    """
    variances, directions = torch.linalg.eigh(covariance)  # ascending; (3,), columns of (3, 3)
    shares = (variances[:2].clamp_min(0).sqrt() / NOISE_FLOOR - 1).clamp(0, 1)
    weak, strong = transport @ directions[:, :2], transport @ directions[:, 2:]
    left, gains, right = torch.linalg.svd(weak, full_matrices=False)
    excess = strong.norm() / MOST_GAIN
    if bool((shares == 1).all() and gains.max() <= MOST_GAIN and excess <= 1):
        return transport
    weak = (left * gains.clamp_max(MOST_GAIN)) @ right * shares
    limited: Tensor = torch.cat([weak, strong / excess.clamp_min(1)], dim=1) @ directions.mT
    return limited


def color_statistics(image: Tensor, ridge: float = 1e-6) -> ColorStatistics:
    """Return mean (3, 1) and covariance (3, 3) of the colours of (1, 3, H, W), in float64."""
    n = image[0, 0].numel()
    sums = [_pixels(band).sum(1, keepdim=True) for band in _bands(image)]
    mean = torch.stack(sums).sum(0) / n
    covariance = ridge * torch.eye(3, dtype=torch.float64)  # grey photos are flat
    for band in _bands(image):
        centred = _pixels(band) - mean
        covariance = covariance + centred @ centred.T / n
    return mean, covariance


def _bands(image: Tensor) -> list[Tensor]:
    """Return the picture, (1, 3, H, W), in parts whose float64 copies are small."""
    dim = 2 if image.shape[2] > 1 else 3  # pixels in one row are a picture, too
    others = image[0, 0].numel() // image.shape[dim]
    step = max(1, BAND // max(1, others))
    begins = range(0, image.shape[dim], step)
    return [image.narrow(dim, at, min(step, image.shape[dim] - at)) for at in begins]


def _pixels(image: Tensor) -> Tensor:
    """Return (3, H*W) in float64, on the CPU: not every device has float64."""
    return to_unit(image)[0].cpu().double().flatten(1)


def _matrix_power(matrix: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    powers: Tensor = values.clamp_min(1e-12).pow(power)
    result: Tensor = (vectors * powers) @ vectors.mT
    return result
