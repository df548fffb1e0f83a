"""Where this program keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return `nst` in the user's cache folder (`XDG_CACHE_HOME`, or `~/.cache`); it need not exist.

    As the XDG Base Directory Specification has it, a `XDG_CACHE_HOME` that is empty or no absolute
    path is ignored. `~` is the shell's to expand, so `~/cache` is no absolute path.
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache") / "nst"
