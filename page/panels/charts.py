"""Charts of a run as markup: progress, curves of the costs, and what each layer costs.

A mark in the curves shows every change of course.

Knows numbers and markup.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nst import TransferSettings, TransferStep
from nst.images.recipe import Passage
from nst.settings import DEFAULTS, LAYER_CHANNELS, options

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


def progress(step: TransferStep, note: str = "") -> str:
    """Return the progress bar of a running transfer, and what there is to say about it."""
    return (
        f'<div class="progress"><progress max="{step.total}" value="{step.iteration}"'
        f' aria-label="Progress of the picture"></progress><p>Iteration {step.iteration} of'
        f" {step.total} · {step.width}×{step.height} px ·"
        f" <b>{duration(step.remaining)} left</b></p></div>" + (message(note) if note else "")
    )


def summary(step: TransferStep, *, finished: bool, note: str = "") -> str:
    """Return what a finished or stopped run reached."""
    return message(
        f"{'Finished' if finished else 'Stopped'} after {duration(step.elapsed)},"
        f" {step.iteration} of {step.total} iterations, {step.width}×{step.height} px."
        f" J = {figure(step.J)} (content {figure(step.content)}, style {figure(step.style)})."
        f" {note}"
    )


def message(text: str) -> str:
    """Return a line of status that screen readers announce."""
    return f'<p class="message" role="status">{html.escape(text)}</p>'


def duration(seconds: float) -> str:
    """Return seconds in words a person reads at a glance: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def figure(value: float) -> str:
    """Return a cost with three significant digits: `1.23 M`, `45.6 k`."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def curves(steps: Sequence[TransferStep], passages: Sequence[Passage] = ()) -> str:
    """Return J, content and style cost against the iteration, on a logarithmic scale, as SVG.

    There is a mark where each passage but the first begins.
    """
    values = {
        curve.name: [max(getattr(step, curve.attribute), 1e-9) for step in steps]
        for curve in CURVES
    }
    if not steps:
        return ""
    visible = [value for series in values.values() for value in series[1:] or series]
    low = math.floor(math.log10(max(min(visible), 1.0)))
    high = max(low + 1, math.ceil(math.log10(max(max(visible), 1.0))))
    last = steps[-1]
    total = max(1, last.total, last.iteration)

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
    changes = _changes(passages)
    for iteration, _ in changes:
        x, y = place(iteration, 10.0**low)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{y:.1f}"/>')
    description = (
        f"Costs at iteration {last.iteration}: J {figure(last.J)},"
        f" style {figure(last.style)}, content {figure(last.content)}"
    )
    settings = passages[-1].settings if passages else DEFAULTS
    weights = {"style": f" × β {settings.beta:g}", "content": f" × α {settings.alpha:g}"}
    legend = " ".join(
        f'<span class="{curve.css}">{curve.name} {figure(getattr(last, curve.attribute))}'
        f"{weights.get(curve.name, '').removesuffix(' × β 1').removesuffix(' × α 1')}</span>"
        for curve in CURVES
    )
    marks = "".join(
        f"<li><b>{iteration}</b> {html.escape(text)}</li>" for iteration, text in changes[-6:]
    )
    return (
        f'<figure class="curves"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{description}">{"".join(parts)}</svg>'
        f"<figcaption>{legend}</figcaption>"
        + (f'<ul class="marks" aria-label="Changes of course">{marks}</ul>' if marks else "")
        + "</figure>"
    )


def _changes(passages: Sequence[Passage]) -> list[tuple[int, str]]:
    """Return (iteration, what changed there), of every passage but the first."""
    return [
        (after.iteration, describe_change(before, after)) for before, after in pairwise(passages)
    ]


UNMARKED = {"layer_weights", "colors", "start", "seed", "precision", "weights"}
"""Told in another way, or without effect once a picture has begun."""


def describe_change(before: Passage, after: Passage) -> str:
    """Return the settings that differ: `β 1 → 5, λ relu1_1 1 → 0`."""
    old, new = before.settings, after.settings
    words = [
        f"{_symbol(name)} {_plain(getattr(old, name))} → {_plain(getattr(new, name))}"
        for name in options()
        if name not in UNMARKED and getattr(old, name) != getattr(new, name)
    ]
    for layer in LAYER_CHANNELS:
        weights = [settings.layer_weights.get(layer, 0.0) for settings in (old, new)]
        if weights[0] != weights[1]:
            words.append(f"λ {layer} {weights[0]:g} → {weights[1]:g}")
    if before.styles != after.styles:
        words.append("another painting")
    return ", ".join(words) or "continued"


def _symbol(name: str) -> str:
    """Return α and β by their letters, the others by their labels."""
    return {"alpha": "α", "beta": "β"}.get(name) or options()[name].label.lower()


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def explanation(step: TransferStep, settings: TransferSettings) -> str:
    """Return the share of J that each of its terms has, as bars.

    `settings` are those of the step.
    """
    parts = parts_of(step, settings)
    whole = max(step.J, 1e-9)
    rows = "".join(
        f"<tr class=\"{name.split(',')[0]}\"><th scope='row'>{name}</th>"
        f'<td><meter max="1" value="{min(cost / whole, 1):.4f}">{cost / whole:.0%}</meter></td>'
        f"<td>{figure(cost)}</td><td>{cost / whole:.0%}</td></tr>"
        for name, cost in parts.items()
    )
    return (
        '<table class="explanation"><caption>What J is made of at iteration'
        f" {step.iteration}: the longest bar is what the next iterations work on most.</caption>"
        "<thead><tr><th scope='col'>Term</th><th scope='col'>Share</th>"
        "<th scope='col'>Cost</th><th scope='col'>of J</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def parts_of(step: TransferStep, settings: TransferSettings) -> dict[str, float]:
    """Return the terms of a step's J by name, weights included: they add up to J."""
    content = {f"content, {settings.content_layer}": settings.alpha * step.content}
    style = {f"style, {layer}": settings.beta * cost for layer, cost in step.layers.items()}
    return content | style | ({"smoothness": step.smoothness} if step.smoothness else {})


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
