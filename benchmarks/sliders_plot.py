"""Draw how evenly the sliders respond, before and after they were shaped, from what
`benchmarks.sliders` has measured:

    python -m benchmarks.sliders_plot docs/sliders.svg
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sliders import AFTER, EVEN, RESULTS

COLUMNS = 4
PANEL = (230, 190)  # SVG units
LEFT, TOP, RIGHT, BOTTOM = 34, 30, 12, 26  # of the axes in a panel
LEGEND = 30
RANGE = (0.25, 4.0)  # of the mean step; what lies beyond is drawn at the edge
TICKS = (0.25, 0.5, 1.0, 2.0, 4.0)

STYLE = """
.plate { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .even { fill: #1a7f37; opacity: 0.13 } .grid { stroke: #d0d7de }
.before { stroke: #bc4c00; fill: #bc4c00 } .after { stroke: #0969da; fill: #0969da }
polyline { fill: none !important; stroke-width: 2 } .before polyline { stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
  .plate { fill: #0d1117 } text { fill: #e6edf3 } .even { fill: #3fb950; opacity: 0.18 }
  .grid { stroke: #30363d } .before { stroke: #f0883e; fill: #f0883e }
  .after { stroke: #58a6ff; fill: #58a6ff }
}
""".strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sliders_plot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.write_text(plot(json.loads(RESULTS.read_text())), encoding="utf-8")


def plot(results: dict[str, dict[str, Any]]) -> str:
    """Return an SVG with a panel for each slider that was measured."""
    names = [name for name in AFTER if any(name in shape for shape in results.values())]
    columns = min(COLUMNS, len(names))
    width, height = PANEL
    size = (columns * width, LEGEND + math.ceil(len(names) / columns) * height)
    panels = [
        f'<g transform="translate({index % columns * width} {LEGEND + index // columns * height})">'
        f"{panel(name, results)}</g>"
        for index, name in enumerate(names)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}">',
            "<title>Each tenth of a slider's way over its mean step, before and after</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="plate" width="{size[0]}" height="{size[1]}"/>',
            legend(),
            *panels,
            "</svg>\n",
        ]
    )


def legend() -> str:
    """Return what the lines are."""
    samples = [("before", "before", LEFT), ("after", "after", LEFT + 90)]
    lines = [
        f'<g class="{name}"><polyline points="{x},18 {x + 26},18"/></g>'
        f'<text x="{x + 32}" y="22">{text}</text>'
        for name, text, x in samples
    ]
    x = LEFT + 180
    band = f'<rect class="even" x="{x}" y="10" width="26" height="15"/>'
    words = "half to twice the mean step; each dot is a tenth of the way"
    return "".join([*lines, band, f'<text x="{x + 32}" y="22">{words}</text>'])


def panel(name: str, results: dict[str, dict[str, Any]]) -> str:
    """Return one slider's steps, on a logarithmic scale."""
    left, right = LEFT, PANEL[0] - RIGHT
    low, high = (y_of(bound) for bound in EVEN)
    parts = [
        f'<text class="title" x="{left}" y="{TOP - 9}">{name}</text>',
        f'<rect class="even" x="{left}" y="{high}" width="{right - left}" height="{low - high}"/>',
    ]
    for tick in TICKS:
        y = y_of(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4}" text-anchor="end">{label(tick)}</text>')
    for shape in ("before", "after"):
        if measured := results.get(shape, {}).get(name):
            parts.append(curve(shape, measured["steps"]))
    return "".join(parts)


def curve(shape: str, steps: Sequence[float]) -> str:
    """Return a line through the steps, in the middle of each tenth."""
    width = PANEL[0] - LEFT - RIGHT
    points = [
        (round(LEFT + width * (index + 0.5) / len(steps), 1), y_of(step))
        for index, step in enumerate(steps)
    ]
    line = " ".join(f"{x},{y}" for x, y in points)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in points)
    return f'<g class="{shape}"><polyline points="{line}"/>{dots}</g>'


def y_of(step: float) -> float:
    """Return where a step is drawn."""
    low, high = RANGE
    share = math.log(min(max(step, low), high) / low) / math.log(high / low)
    return round(PANEL[1] - BOTTOM - share * (PANEL[1] - TOP - BOTTOM), 1)


def label(tick: float) -> str:
    return {0.25: "¼", 0.5: "½"}.get(tick, f"{tick:g}")


if __name__ == "__main__":
    main()
