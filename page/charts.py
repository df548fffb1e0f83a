"""How far a run is, as HTML: a progress bar with the time left, and the curves of the costs.

Knows numbers and markup.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nst import TransferStep

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 28, 12, 34


@dataclass(frozen=True)
class Curve:
    """One line of the plot: its name, and its CSS class, which gives it a colour and a dash."""

    name: str
    attribute: str
    css: str


CURVES = (
    Curve("J", "J", "total"),
    Curve("style", "style", "style"),
    Curve("content", "content", "content"),
)


def progress(step: TransferStep) -> str:
    """The progress bar of a running transfer."""
    return (
        f'<div class="progress"><progress max="{step.total}" value="{step.iteration}"'
        f' aria-label="Progress of the picture"></progress><p>Iteration {step.iteration} of'
        f" {step.total} · {step.width}×{step.height} px ·"
        f" <b>{duration(step.remaining)} left</b></p></div>"
    )


def summary(step: TransferStep) -> str:
    """What a finished or stopped run reached."""
    verb = "Finished" if step.iteration == step.total else "Stopped"
    return message(
        f"{verb} after {duration(step.elapsed)}, {step.iteration} of {step.total} iterations,"
        f" {step.width}×{step.height} px. J = {figure(step.J)}"
        f" (content {figure(step.content)}, style {figure(step.style)})."
    )


def message(text: str) -> str:
    """A line of status that screen readers announce."""
    return f'<p class="message" role="status">{html.escape(text)}</p>'


def duration(seconds: float) -> str:
    """Seconds in words a person reads at a glance: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def figure(value: float) -> str:
    """A cost with three significant digits: `1.23 M`, `45.6 k`."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def curves(steps: Sequence[TransferStep]) -> str:
    """J, content and style cost against the iteration, on a logarithmic scale, as SVG."""
    values = {
        curve.name: [max(getattr(step, curve.attribute), 1e-9) for step in steps]
        for curve in CURVES
    }
    if not steps:
        return ""
    visible = [value for series in values.values() for value in series[1:] or series]
    low = math.floor(math.log10(max(min(visible), 1.0)))
    high = max(low + 1, math.ceil(math.log10(max(max(visible), 1.0))))
    total = max(1, steps[-1].total)

    def place(iteration: float, value: float) -> tuple[float, float]:
        share = (min(max(math.log10(value), low), high) - low) / (high - low)
        x = LEFT + (WIDTH - LEFT - RIGHT) * iteration / total
        return x, TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    parts = [_grid(low, high, total, place)]
    for curve in CURVES:
        points = [
            place(step.iteration, value)
            for step, value in zip(steps, values[curve.name], strict=True)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="curve {curve.css}" points="{path}"/>')
    last = steps[-1]
    description = (
        f"Costs at iteration {last.iteration}: J {figure(last.J)},"
        f" style {figure(last.style)}, content {figure(last.content)}"
    )
    legend = " ".join(
        f'<span class="{curve.css}">{curve.name} {figure(getattr(last, curve.attribute))}</span>'
        for curve in CURVES
    )
    return (
        f'<figure class="curves"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{description}">{"".join(parts)}</svg>'
        f"<figcaption>{legend}</figcaption></figure>"
    )


def _grid(
    low: int, high: int, total: int, place: Callable[[float, float], tuple[float, float]]
) -> str:
    lines = []
    for exponent in range(low, high + 1):
        x, y = place(0, 10.0**exponent)
        lines.append(
            f'<line class="grid" x1="{x}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        lines.append(
            f'<text class="tick y" x="{x - 8}" y="{y + 4:.1f}">{figure(10.0**exponent)}</text>'
        )
    for iteration in (0, total / 2, total):
        x, y = place(iteration, 10.0**low)
        lines.append(f'<text class="tick x" x="{x:.1f}" y="{y + 20:.1f}">{iteration:.0f}</text>')
    return "".join(lines)
