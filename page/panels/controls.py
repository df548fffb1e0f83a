"""Sliders and choices, generated from `TransferSettings`, and back again.

Knows Gradio components and settings; nothing of runs or pictures.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from nst.settings import (
    DEFAULTS,
    LAYER_CHANNELS,
    LOOKS,
    Option,
    TransferSettings,
    gatys_layer_weight,
    options,
)
from page.assets import handler
from page.panels.components import ForgivingSlider
from page.templates import render

# A logarithmic slider moves the exponent; its label shows the value itself.


CHANGED_BY_LOOKS = {name for changes in LOOKS.values() for name in changes}


class Controls:
    """The page's components by setting name, and by layer for the weights λ.

    The components are created where the methods are called, so that the page decides the layout.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Component] = {}
        self.layers: dict[str, gr.Slider] = {}
        self.textures: dict[str, gr.HTML] = {}
        self.look: gr.Radio | None = None
        self.folded = gr.Accordion("The other eleven layers", open=False, render=False)

    @property
    def components(self) -> set[Component]:
        """Return all controls."""
        look = [self.look] if self.look else []
        return {*self.by_name.values(), *self.layers.values(), *look}

    def add(self, *names: str) -> None:
        """Show the settings named."""
        for name in names:
            self.by_name[name] = _component(name, options()[name])

    def add_layers(self, *layers: str) -> None:
        """Show the weights λ of the layers named."""
        option = options()["layer_weights"]
        low, high = option.range
        for layer in layers:
            with gr.Row(elem_classes="layer"):
                self.textures[layer] = gr.HTML(texture_markup(layer), min_width=72, scale=0)
                self.layers[layer] = ForgivingSlider(
                    low,
                    high,
                    value=DEFAULTS.layer_weights.get(layer, 0.0),
                    step=0.1,
                    label=f"λ {layer}",
                    info=f"{_LAYER_MEANINGS[layer[4]]} 1 is λ = {gatys_layer_weight(layer):.3g}.",
                    min_width=200,
                    scale=1,
                )

    def settings(self, values: Mapping[Component, Any]) -> TransferSettings:
        """Return what the visitor chose.

        Raises `ValueError` for what no control allows.
        """
        chosen: dict[str, Any] = {
            name: _power(values[component]) if options()[name].logarithmic else values[component]
            for name, component in self.by_name.items()
        }
        for spec in dataclasses.fields(TransferSettings):
            if isinstance(spec.default, int) and isinstance(chosen.get(spec.name), float):
                chosen[spec.name] = round(chosen[spec.name])  # browsers send 3 as 3.0 at times
        weights = {layer: values[slider] for layer, slider in self.layers.items()}
        return TransferSettings(**chosen, layer_weights=weights)

    def show(self, settings: TransferSettings, names: set[str]) -> dict[Component, Any]:
        """Return updates that move the controls of `names` to `settings`."""
        updates: dict[Component, Any] = {}
        for name in names - {"layer_weights"}:
            updates[self.by_name[name]] = _update(settings, name)
        if "layer_weights" in names:
            for layer, slider in self.layers.items():
                updates[slider] = settings.layer_weights.get(layer, 0.0)
        if self.look and names >= CHANGED_BY_LOOKS:
            updates[self.look] = look_of(settings)
        return updates

    def add_looks(self) -> None:
        """Show the named looks, which set several controls at once."""
        self.look = gr.Radio(
            list(LOOKS),
            value="Balanced",
            label="Look",
            info="A starting point; every slider below can still be moved.",
            elem_id="look",
        )

    def wire(self) -> None:
        """Connect the looks and the labels of logarithmic sliders; call when all are shown."""
        assert self.look
        targets = [self.by_name[name] for name in CHANGED_BY_LOOKS - {"layer_weights"}]
        self.look_taken = self.look.input(
            lambda name: self.show(TransferSettings.of_look(name), CHANGED_BY_LOOKS),
            self.look,
            [self.look, *targets, *self.layers.values()],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        for name, component in self.by_name.items():
            if options()[name].logarithmic:
                component.change(
                    None,
                    component,
                    component,
                    js=handler("show_power").replace("LABEL", options()[name].label),
                )


def look_of(settings: TransferSettings) -> str | None:
    """Return the look that these settings are, if it is one."""
    for name in LOOKS:
        look = TransferSettings.of_look(name)
        if settings.replace(**{n: getattr(look, n) for n in CHANGED_BY_LOOKS}).paints_like(
            settings
        ):
            return name
    return None


def texture_markup(layer: str, address: str = "") -> str:
    """Return what a layer sees in the painting, or room for it."""
    title = f"What {layer} alone captures of the painting"
    return render("texture", title=title, address=address)


_LAYER_MEANINGS = {
    "1": "Colour and the finest grain.",
    "2": "Short strokes and edges.",
    "3": "Strokes and small motifs.",
    "4": "Larger motifs.",
    "5": "The largest shapes.",
}

OTHER_LAYERS = tuple(layer for layer in LAYER_CHANNELS if layer not in DEFAULTS.layer_weights)


def _component(name: str, option: Option) -> Component:
    value = getattr(DEFAULTS, name)
    if option.choices:
        choices = [(label, choice) for choice, label in option.choices.items()]
        kind = gr.Radio if len(choices) <= 3 else gr.Dropdown
        return kind(choices, value=value, label=option.label, info=option.help)
    low, high = option.range
    if name == "seed":
        return gr.Number(
            value, minimum=low, maximum=high, precision=0, label=option.label, info=option.help
        )
    if option.logarithmic:
        return ForgivingSlider(
            math.log10(low),
            math.log10(high),
            value=math.log10(value),
            step=0.05,
            label=f"{option.label}: {value:g}",
            info=option.help,
            elem_classes="power",
        )
    return ForgivingSlider(
        low, high, value=value, step=option.step, label=option.label, info=option.help
    )


def _update(settings: TransferSettings, name: str) -> Any:
    value, option = getattr(settings, name), options()[name]
    if not option.logarithmic:
        return value
    return gr.update(value=math.log10(value), label=f"{option.label}: {value:g}")


def _power(exponent: float) -> float:
    return float(f"{10**exponent:.3g}")
