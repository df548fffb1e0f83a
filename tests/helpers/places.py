"""Where things lie: the checkout, its tests, the bundled pictures, suites of malformed files."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
EXAMPLES = ROOT / "examples"
DRAWN = ROOT / "benchmarks" / "pictures"  # style pictures that bounds were found with
SUITES_BESIDE = ROOT.parent / "shared" / "data" / "malformed"
