"""The package Ray, which only clusters need: 240 MB that an installation may do without."""

from __future__ import annotations

import importlib.util
from typing import Any

from nst.errors import MissingPackageError

MISSING = "A cluster needs Ray; run 'pip install nst[ray]'."


def check_ray() -> None:
    """Raise `MissingPackageError` where Ray is not installed; it is not imported."""
    if importlib.util.find_spec("ray") is None:
        raise MissingPackageError(MISSING)


def load_ray() -> Any:
    """Return the module `ray`. Raises `MissingPackageError` where it is not installed."""
    check_ray()
    import ray

    return ray
