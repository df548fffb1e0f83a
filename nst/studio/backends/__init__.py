"""Where runs are painted: this process, GPUs that a ZeroGPU Space lends, or a Ray cluster."""

from __future__ import annotations

import os

from nst.studio.backends.base import Backend


def pick_backend() -> Backend:
    """Return the backend that this machine has.

    Call it before anything touches CUDA: on a ZeroGPU Space the package `spaces` must come first.
    """
    from nst.studio.backends.zerogpu import ZeroGPUBackend, find_spaces

    spaces = find_spaces()
    if spaces is not None:
        return ZeroGPUBackend(spaces)
    if address := os.environ.get("NST_RAY_ADDRESS", "").strip():
        from nst.studio.backends.ray import join_cluster

        return join_cluster(address)
    from nst.studio.backends.local import LocalBackend

    return LocalBackend()
