"""Charts of a run as markup: progress, curves of the costs, and what each layer costs.

A mark in the curves shows every change of course.

Knows numbers and markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from nst import TransferSettings, TransferStep
from nst.images.recipe import Ingredient, Passage
from nst.settings import DEFAULTS, PaintingUse, layers_text, options
from page.panels.controls import FIXED
from page.templates import render

MOST_POINTS = 150  # of a curve: a tab under way asks for it twice a second


@dataclass(frozen=True)
class Curve:
    """One line of the plot: its name, and its CSS class, which gives it a colour and a dash."""

    name: str
    attribute: str
    css: str
    weight: str = ""  # the setting that multiplies it in J

    def value(self, step: TransferStep) -> float:
        """Return the cost of a step, above 0 for a logarithm."""
        return max(float(getattr(step, self.attribute)), 1e-9)

    def legend(self, step: TransferStep, settings: TransferSettings) -> str:
        """Return the name with the cost of a step, and its weight unless that is 1."""
        text = f"{self.name} {figure(getattr(step, self.attribute))}"
        weight = getattr(settings, self.weight) if self.weight else 1.0
        return text if weight == 1 else f"{text} × {_symbol(self.weight)} {weight:g}"


CURVES = (
    Curve("J", "J", "total"),
    Curve("style", "style", "style", weight="beta"),
    Curve("content", "content", "content", weight="alpha"),
)


def progress(step: TransferStep, note: str = "") -> Markup:
    """Return the progress bar of a running transfer, and what there is to say about it."""
    bar = render("progress", step=step, left=duration(step.remaining))
    return bar + (message(note) if note else "")


def summary(
    step: TransferStep, settings: TransferSettings, *, finished: bool, note: str = ""
) -> Markup:
    """Return what a finished or stopped run reached; the parts of J add up to it."""
    sums: dict[str, float] = {}
    for name, cost in parts_of(step, settings).items():
        kind = name.split(",")[0]
        sums[kind] = sums.get(kind, 0.0) + cost
    parts = " + ".join(f"{kind} {figure(cost)}" for kind, cost in sums.items())
    return message(
        f"{'Finished' if finished else 'Stopped'} after {duration(step.elapsed)},"
        f" {step.iteration} of {step.total} iterations, {step.width}×{step.height} px."
        f" J = {figure(step.J)} = {parts}. {note}"
    )


def waiting(ahead: int, seconds: float) -> Markup:
    """Return the status of what is queued behind so many pictures, for so many seconds."""
    others = "1 picture is" if ahead == 1 else f"{ahead} pictures are"
    until = f"about {duration(seconds)}" if seconds >= 1 else "any moment now"
    return message(f"In the queue: {others} before yours, {until}.")


def message(text: str) -> Markup:
    """Return a line of status."""
    return render("message", text=text, is_refusal=False)


def refusal(text: str) -> Markup:
    """Return a line of status that says why something was refused, until another choice is made."""
    return render("message", text=text, is_refusal=True)


def hint(text: str) -> Markup:
    """Return a line of explanation."""
    return render("hint", text=text)


def duration(seconds: float) -> str:
    """Return seconds as one reads them at a glance: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 05 min`."""
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def figure(value: float) -> str:
    """Return a cost with three significant digits: `1.23 M`, `45.6 k`."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


@dataclass(frozen=True)
class Plot:
    """The axes of the curves: iterations to the right, powers of ten upward. All in SVG units."""

    low: int  # exponents of ten
    high: int
    total: int  # iterations
    width: int = 640
    height: int = 240
    left: int = 64
    top: int = 12

    @property
    def right(self) -> int:
        """Return where the last iteration is."""
        return self.width - 28

    @property
    def bottom(self) -> int:
        """Return where the lowest cost is."""
        return self.height - 34

    def x(self, iteration: float) -> float:
        """Return where an iteration is."""
        return round(self.left + (self.right - self.left) * iteration / self.total, 1)

    def y(self, value: float) -> float:
        """Return where a cost above 0 is; one beyond the axes is on their end."""
        exponent = min(max(math.log10(value), self.low), self.high)
        share = (exponent - self.low) / (self.high - self.low)
        return round(self.bottom - (self.bottom - self.top) * share, 1)

    @property
    def heights(self) -> list[Tick]:
        """Return the ticks of the costs."""
        values = [10.0**exponent for exponent in range(self.low, self.high + 1)]
        return [Tick(self.y(value), figure(value)) for value in values]

    @property
    def iterations(self) -> list[Tick]:
        """Return the ticks of the iterations."""
        return [Tick(self.x(i), f"{i:.0f}") for i in (0, self.total / 2, self.total)]


@dataclass(frozen=True)
class Tick:
    """A label, and where it is on its axis."""

    at: float
    label: str


def curves(
    steps: Sequence[TransferStep],
    passages: Sequence[Passage] = (),
    styles: Sequence[Ingredient] = (),
) -> str:
    """Return J, content and style cost against the iteration, on a logarithmic scale, as SVG.

    There is a mark where each passage but the first begins. `styles` are those of a recipe.
    """
    if not steps:
        return ""
    steps = thinned(steps)
    plot, last, changes = _plot_of(steps), steps[-1], _changes(passages, styles)
    settings = passages[-1].settings if passages else DEFAULTS
    return render(
        "curves",
        plot=plot,
        description=f"Costs at iteration {last.iteration}: J {figure(last.J)},"
        f" style {figure(last.style)}, content {figure(last.content)}",
        curves=[
            {
                "css": curve.css,
                "points": " ".join(
                    f"{plot.x(step.iteration)},{plot.y(curve.value(step))}" for step in steps
                ),
                "legend": curve.legend(last, settings),
            }
            for curve in CURVES
        ],
        marks=[plot.x(iteration) for iteration, _ in changes],
        changes=changes[-6:],
    )


def thinned(steps: Sequence[TransferStep], most: int = MOST_POINTS) -> Sequence[TransferStep]:
    """Return so many steps at the most, evenly apart, the first and the last among them."""
    if len(steps) <= most:
        return steps
    return [steps[round(index * (len(steps) - 1) / (most - 1))] for index in range(most)]


def _plot_of(steps: Sequence[TransferStep]) -> Plot:
    """Return axes on which the costs fit; that of the starting picture would flatten all others."""
    visible = [curve.value(step) for curve in CURVES for step in steps[1:] or steps]
    low = math.floor(math.log10(max(min(visible), 1.0)))
    high = max(low + 1, math.ceil(math.log10(max(max(visible), 1.0))))
    return Plot(low, high, max(1, steps[-1].total, steps[-1].iteration))


def _changes(passages: Sequence[Passage], styles: Sequence[Ingredient]) -> list[tuple[int, str]]:
    """Return (iteration, what changed there), of every passage but the first."""
    return [
        (after.iteration, describe_change(before, after, styles))
        for before, after in pairwise(passages)
    ]


UNMARKED = {"colors", *FIXED}
"""Told in another way, or without effect once a picture has begun."""


def describe_change(before: Passage, after: Passage, styles: Sequence[Ingredient] = ()) -> str:
    """Return the settings that differ: `β 1 → 5, λ relu1_1 1 → 0`; see `curves`."""
    old, new = before.settings, after.settings
    words = [
        f"{_symbol(name)} {_plain(getattr(old, name))} → {_plain(getattr(new, name))}"
        for name, option in options().items()
        if name not in UNMARKED and not option.keys and getattr(old, name) != getattr(new, name)
    ]
    for name, option in options().items():
        for key in option.keys:
            weights = [getattr(settings, name).get(key, 0.0) for settings in (old, new)]
            if weights[0] != weights[1]:
                words.append(f"{_symbol(name)} {key} {weights[0]:g} → {weights[1]:g}")
    words += _changes_of_paintings(before, after, styles)
    return ", ".join(words) or "continued"


def _changes_of_paintings(
    before: Passage, after: Passage, styles: Sequence[Ingredient]
) -> list[str]:
    """Return what differs in the paintings: others, their masks, or how they are used."""
    count = len(after.styles)
    if before.styles != after.styles:
        old, new = (
            {styles[at] if styles else at for at in each.styles} for each in (before, after)
        )
        if old != new:
            return ["another painting" if count == 1 else "other paintings"]
        return ["another part of the painting" if count == 1 else "regions, or parts of paintings"]
    masks = ["regions"] if before.keep != after.keep else []
    uses = zip(before.settings.uses(count), after.settings.uses(count), strict=True)
    return masks + [
        f"{option.label.lower()} of painting {number} {_of_use(name, old)} → {_of_use(name, new)}"
        for number, pair in enumerate(uses, start=1)
        for name, option in options(PaintingUse).items()
        if (old := getattr(pair[0], name)) != (new := getattr(pair[1], name))
    ]


def _symbol(name: str) -> str:
    """Return α, β and λ by their letters, the others by their labels."""
    letters = {"alpha": "α", "beta": "β", "layer_weights": "λ"}
    return letters.get(name) or options()[name].label.lower()


def _of_use(name: str, value: Any) -> str:
    """Return a value of a painting's use."""
    return layers_text(value) or "all" if name == "layers" else _plain(value)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def explanation(step: TransferStep, settings: TransferSettings) -> Markup:
    """Return the share of J that each of its terms has, as bars.

    `settings` are those of the step.
    """
    whole = max(step.J, 1e-9)
    terms = [
        {
            "name": name,
            "css": name.split(",")[0],
            "bar": f"{min(cost / whole, 1):.4f}",
            "cost": figure(cost),
            "share": f"{cost / whole:.0%}",
        }
        for name, cost in parts_of(step, settings).items()
    ]
    return render("explanation", iteration=step.iteration, terms=terms)


def parts_of(step: TransferStep, settings: TransferSettings) -> dict[str, float]:
    """Return the terms of a step's J by name, weights included: they add up to J."""
    layers = " + ".join(settings.content_weights)
    content = {f"content, {layers}": settings.alpha * step.content}
    style = {f"style, {layer}": settings.beta * cost for layer, cost in step.layers.items()}
    return content | style | ({"smoothness": step.smoothness} if step.smoothness else {})
