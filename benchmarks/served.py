"""What benchmarks share with the tests: the page in a process of its own, wires, sliders."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # which is no package

from helpers.browsing import CHROMIUM_FLAGS, move_slider, set_slider
from helpers.proxy import Wire, wire_to
from helpers.server import Server, running_server

__all__ = [
    "CHROMIUM_FLAGS",
    "Server",
    "Wire",
    "move_slider",
    "running_server",
    "set_slider",
    "wire_to",
]
