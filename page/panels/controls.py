"""Sliders and choices, generated from `TransferSettings`, and back again.

Knows Gradio components and settings; nothing of runs or pictures. The value of a slider is that of
its setting; where its handle stands is the browser's (`sliders.js`), by the stops of the settings.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from nst.looks import LOOKS, USUAL_LOOK, Look
from nst.settings import (
    DEFAULT_STRENGTH,
    DEFAULTS,
    GATYS_STYLE_LAYERS,
    LAYER_CHANNELS,
    STYLE_COSTS,
    Option,
    TransferSettings,
    gatys_layer_weight,
    options,
    size_stops,
    strength_settings,
    strokes_settings,
)
from page.assets import handler, mount
from page.http.static_files import asset_url
from page.panels.components import ForgivingSlider
from page.templates import render

CHANGED_BY_LOOKS = tuple(
    name for name in options() if any(name in look.changes for look in LOOKS.values())
)
WITH_KEYS = tuple(name for name, option in options().items() if option.keys)
DECISIVE = (
    *("size", "iterations", "base_size", "restructure"),
    *("optimizer", "start", "precision", "weights"),
)
FIXED = ("start", "init_weight", "seed", "precision", "weights")
"""What a picture is begun with: not to be changed while it is painted, or continued."""

FROM_THE_NEXT = "It takes effect the next time you press Stylize."
ON_THE_PAGE: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}

STRENGTHS = 100  # positions, beside 0
USUAL_STRENGTH = round(STRENGTHS * DEFAULT_STRENGTH)
STROKE = 0.05  # between two positions
USUAL_LARGEST = 2048  # pixels

STRENGTH_HELP = "How much painting, how much photo. Up: bolder paint. Down: a clearer photo."
STROKES_HELP = (
    "How large the painting's strokes and shapes are. Up: broad shapes. Down: fine strokes and"
    " grain."
)


class Controls:
    """The page's components by setting name, and sliders for the settings that have many numbers.

    The components are created where the methods are called, so that the page decides the layout.
    """

    def __init__(self, largest: int = USUAL_LARGEST) -> None:
        self.largest = largest  # size that is offered, in pixels
        self.by_name: dict[str, Component] = {}
        self.sliders: dict[str, dict[str, gr.Slider]] = {name: {} for name in WITH_KEYS}
        self.textures: dict[str, gr.HTML] = {}
        self.look: gr.HTML
        self.strength: gr.Slider
        self.strokes: gr.Slider
        self.look_taken: Any  # the event
        self.linked: list[Any]  # events of the friendly sliders, when the true ones have followed
        self.layers_fold: gr.HTML  # the headings of the folds that the layers are in
        self.folded: gr.HTML

    @property
    def components(self) -> set[Component]:
        """Return all controls that settings are made of."""
        return {*self.by_name.values(), *self.weights}

    @property
    def layers(self) -> dict[str, gr.Slider]:
        """Return the sliders of the weights λ, by layer."""
        return self.sliders["layer_weights"]

    @property
    def costs(self) -> dict[str, gr.Slider]:
        """Return the sliders of the style costs, by name."""
        return self.sliders["style_costs"]

    @property
    def weights(self) -> list[gr.Slider]:
        """Return the sliders of the settings that have many numbers."""
        return [slider for sliders in self.sliders.values() for slider in sliders.values()]

    @property
    def decisive(self) -> list[Component]:
        """Return the controls that decide how long a picture takes."""
        return [*(self.by_name[name] for name in DECISIVE), *self.costs.values()]

    def add(self, *names: str) -> None:
        """Show the settings named."""
        for name in names:
            self.by_name[name] = _component(name, self._option(name))

    def _option(self, name: str) -> Option:
        """Return what a user is shown about a setting, within what is offered here."""
        if name != "size":
            return options()[name]
        stops = size_stops(self.largest)
        return dataclasses.replace(options()[name], high=self.largest, stops=stops)

    def add_layers(self, *layers: str) -> None:
        """Show the weights λ of the layers named."""
        option = options()["layer_weights"]
        low, high = option.range
        for layer in layers:
            with gr.Row(elem_classes="layer"):
                self.textures[layer] = gr.HTML(
                    texture_markup(layer), min_width=72, scale=0, apply_default_css=False
                )
                self.layers[layer] = ForgivingSlider(
                    low,
                    high,
                    value=DEFAULTS.layer_weights.get(layer, 0.0),
                    step=option.step,
                    label=f"λ {layer}",
                    info=f"{_LAYER_MEANINGS[layer[4]]} 1 is λ = {gatys_layer_weight(layer):.3g}.",
                    min_width=200,
                    scale=1,
                )

    def add_style_costs(self) -> None:
        """Show the weights of the style costs."""
        for cost in STYLE_COSTS:
            label, explanation = _words_of_cost(cost)
            self._add_slider("style_costs", cost, label, explanation)

    def add_content_layers(self) -> None:
        """Show the weights of the layers that compare the scene."""
        for layer in LAYER_CHANNELS:
            self._add_slider("content_layers", layer, f"Content {layer}")

    def _add_slider(self, name: str, key: str, label: str, info: str | None = None) -> None:
        option = options()[name]
        low, high = option.range
        usual = getattr(DEFAULTS, name).get(key, 0.0)
        self.sliders[name][key] = ForgivingSlider(
            low, high, value=usual, step=option.step, label=label, info=info
        )

    def add_looks(self) -> None:
        """Show the named looks, which set several controls at once."""
        self.look = gr.HTML(
            {"name": USUAL_LOOK, "isEdited": False},
            html_template=render("looks", looks=[_shown_look(look) for look in LOOKS.values()]),
            js_on_load=mount("looks", "choose", url=asset_url("looks.js")),
            apply_default_css=False,
            elem_id="look",
        )

    def add_friendly(self) -> None:
        """Show one slider on top of α and β, and one on top of the λ and the two sizes."""
        self.strength = ForgivingSlider(
            0,
            STRENGTHS,
            value=USUAL_STRENGTH,
            step=1,
            label="Strength",
            info=STRENGTH_HELP,
            elem_id="strength",
        )
        self.strokes = ForgivingSlider(
            -1, 1, value=0, step=STROKE, label="Strokes", info=STROKES_HELP, elem_id="strokes"
        )

    def words(self) -> dict[str, dict[str, Any]]:
        """Return what the sliders' values mean in words, by the beginning of their labels.

        With those whose way is shaped are the stops of their handles.
        """
        words: dict[str, dict[str, Any]] = {
            "Strength": {"usual": USUAL_STRENGTH, "up": "bolder paint", "down": "a clearer photo"},
            "Strokes": {"usual": 0, "up": "broad strokes", "down": "fine strokes"},
            "λ": _words_of(options()["layer_weights"], 1.0),
        }
        for cost in STYLE_COSTS:
            usual = DEFAULTS.style_costs.get(cost, 0.0)
            words[_words_of_cost(cost)[0]] = _words_of(options()["style_costs"], usual)
        shown = {name: self._option(name) for name in options()}
        return words | {
            option.label: _words_of(option, getattr(DEFAULTS, name))
            for name, option in shown.items()
            if option.up or option.down
        }

    def settings(self, values: Mapping[Component, Any]) -> TransferSettings:
        """Return what the visitor chose.

        Raises `ValueError` for what no control allows.
        """
        chosen: dict[str, Any] = {
            name: values[component] for name, component in self.by_name.items()
        }
        for spec in dataclasses.fields(TransferSettings):
            if isinstance(spec.default, int) and isinstance(chosen.get(spec.name), float):
                chosen[spec.name] = round(chosen[spec.name])  # browsers send 3 as 3.0 at times
        for name, sliders in self.sliders.items():
            chosen[name] = {key: values[slider] for key, slider in sliders.items()}
        return TransferSettings(**chosen)

    def show(self, settings: TransferSettings, names: set[str]) -> dict[Component, Any]:
        """Return updates that move the controls of `names` to `settings`.

        The look and the friendly sliders follow in the browser.
        """
        updates: dict[Component, Any] = {}
        for name in names & self.by_name.keys():
            updates[self.by_name[name]] = getattr(settings, name)
        for name in names & self.sliders.keys():
            numbers = getattr(settings, name)
            updates |= {slider: numbers.get(k, 0.0) for k, slider in self.sliders[name].items()}
        return updates

    def wire(self) -> None:
        """Connect the controls with one another; call when all are shown."""
        self._wire_looks()
        self._wire_friendly()

    def _wire_looks(self) -> None:
        parts = self._parts_of_looks()

        def take(value: Any) -> dict[Component, Any]:
            name = str((value or {}).get("name"))
            look = LOOKS.get(name, LOOKS[USUAL_LOOK])
            return self.show(look.settings, set(CHANGED_BY_LOOKS))

        self.look_taken = self.look.choose(take, self.look, parts, **ON_THE_PAGE)
        values = {name: self._values_of_look(name) for name in LOOKS}
        gr.on(
            [part.change for part in parts],
            None,
            [self.look, *parts],
            self.look,
            js=handler("look_of").replace("LOOKS", json.dumps(values)),
            trigger_mode="always_last",
            **ON_THE_PAGE,
        )

    def _parts_of_looks(self) -> list[Component]:
        """Return the components of what looks change."""
        parts: list[Component] = []
        for name in CHANGED_BY_LOOKS:
            parts += self.sliders[name].values() if name in WITH_KEYS else [self.by_name[name]]
        return parts

    def _values_of_look(self, name: str) -> list[Any]:
        """Return what these components have when a look has been chosen."""
        values: list[Any] = []
        for each in CHANGED_BY_LOOKS:
            value = getattr(LOOKS[name].settings, each)
            values += (
                [value.get(key, 0.0) for key in self.sliders[each]]
                if each in WITH_KEYS
                else [value]
            )
        return values

    def _wire_friendly(self) -> None:
        weights = [self.by_name["alpha"], self.by_name["beta"]]
        sizes = [self.by_name["style_scale"], self.by_name["base_size"]]
        strokes = [*sizes, *(self.layers[each] for each in GATYS_STYLE_LAYERS)]
        self.linked = []
        for slider, parts, name, positions in (
            (self.strength, weights, "strength", _positions_of_strength()),
            (self.strokes, strokes, "strokes", _positions_of_strokes()),
        ):
            down, up = (
                handler(f"{way}_{name}").replace("POSITIONS", json.dumps(positions))
                for way in ("from", "to")
            )
            moved = gr.on(
                [slider.input, slider.release], None, slider, parts, js=down, **ON_THE_PAGE
            )
            self.linked.append(moved)
            gr.on(
                [part.change for part in parts],
                None,
                parts,
                slider,
                js=up,
                trigger_mode="always_last",
                **ON_THE_PAGE,
            )


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


def _words_of_cost(cost: str) -> tuple[str, str]:
    """Return the label and the explanation of a style cost."""
    label, _, explanation = STYLE_COSTS[cost].partition(": ")
    return label, explanation[0].upper() + explanation[1:]


def _words_of(option: Option, usual: Any) -> dict[str, Any]:
    words = {"usual": usual, "up": option.up, "down": option.down}
    return words | {"stops": option.stops} if option.stops else words


def _positions_of_strength() -> list[list[float]]:
    """Return α and β at each position of Strength."""
    positions = [strength_settings(number / STRENGTHS) for number in range(STRENGTHS + 1)]
    return [[weights["alpha"], weights["beta"]] for weights in positions]


def _positions_of_strokes() -> list[list[float]]:
    """Return the style scale, the base size and the five λ at each position of Strokes."""
    number = round(2 / STROKE)
    positions = [strokes_settings(position / number) for position in range(number + 1)]
    return [
        [each["style_scale"], each["base_size"], *each["layer_weights"].values()]
        for each in positions
    ]


def _shown_look(look: Look) -> dict[str, str]:
    return {"name": look.name, "gives": look.gives, "picture": asset_url(f"looks/{look.file}")}


def _component(name: str, option: Option) -> Component:
    value = getattr(DEFAULTS, name)
    info = f"{option.help} {FROM_THE_NEXT}" if name in FIXED else option.help
    if option.choices:
        choices = [(label, choice) for choice, label in option.choices.items()]
        kind = gr.Radio if len(choices) <= 3 else gr.Dropdown
        return kind(choices, value=value, label=option.label, info=info)
    low, high = option.range
    if name == "seed":
        return gr.Number(
            value, minimum=low, maximum=high, precision=0, label=option.label, info=info
        )
    return ForgivingSlider(low, high, value=value, step=option.step, label=option.label, info=info)
