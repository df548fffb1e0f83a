"""Where runs are painted: this process, or GPUs that a ZeroGPU Space lends."""

from __future__ import annotations

from nst.studio.backends.base import Backend


def pick_backend() -> Backend:
    """Return the backend that this machine has.

    Call it before anything touches CUDA: on a ZeroGPU Space the package `spaces` must come first.
    """
    from nst.studio.backends.zerogpu import ZeroGPUBackend, find_spaces

    spaces = find_spaces()
    if spaces is not None:
        return ZeroGPUBackend(spaces)
    from nst.studio.backends.local import LocalBackend

    return LocalBackend()
