"""The page in a process of its own, and wires to it that can be cut, as the tests have them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # which is no package

from helpers.proxy import Wire, wire_to
from helpers.server import Server, running_server

__all__ = ["Server", "Wire", "running_server", "wire_to"]
