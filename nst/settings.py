"""Every choice a user can make about a run: its default, range, unit and explanation, once.

The page's sliders, the command line's flags and the documentation are generated from
`TransferSettings`. Knows the names of VGG-19's layers, but nothing of tensors, files or pages.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from typing import Any, TypeVar

from nst.errors import SettingsError

Painting = TypeVar("Painting")

LAYER_CHANNELS: dict[str, int] = {
    f"relu{block}_{conv}": channels
    for block, (convs, channels) in enumerate(
        [(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)], start=1
    )
    for conv in range(1, convs + 1)
}
"""The 16 convolution layers of VGG-19, shallow to deep, with their numbers of channels n_C."""

VERSION = 4  # of what the values mean; recipes and links name it, see `_of_older_version`

LAYER_GROUPS: dict[str, tuple[str, ...]] = {
    name: tuple(layer for layer in LAYER_CHANNELS if layer[4] in blocks)
    for name, blocks in [("strokes", "123"), ("composition", "45")]
}
"""What of a painting the layers show, by their blocks: grain and strokes, and large shapes."""

GATYS_STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
MAX_LAYER_WEIGHT = 10.0
STYLE_COSTS: dict[str, str] = {
    "gram": "Gram matrices: which features occur together. Gatys' choice, for most paintings.",
    "mean_std": "Means and deviations: the painting's palette and grain; the photo's shapes stay.",
    "wasserstein": "Wasserstein distance: bolder shapes; the photo gives way most.",
    "histogram": "Histograms: clean lights and darks; the photo's shapes stay.",
}
"""What the style of a layer is compared by: a name, and what it does."""
MOST_STYLES = 100  # paintings of one picture, its recipe included


def gatys_layer_weight(layer: str) -> float:
    """Return λ[l] = 4000 / n_C², the textbook weight that a relative weight of 1 stands for.

    Gatys' published code weighs the mean squared difference of Gram / (n_H n_W) with 1000 / n_C².
    In terms of J_style[l] = ‖G_S − G_G‖² / (2 n_H n_W n_C)² that is 4 · 1000 / n_C².
    """
    return 4000.0 / LAYER_CHANNELS[layer] ** 2


LARGEST = 16384  # pixels, the longest side; what a machine has room for is another matter


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")


STOPS = 200  # of a shaped slider, beside its beginning


@dataclass(frozen=True)
class Curve:
    """The values along a slider's way: straight lines between knots, or between their logarithms.

    The knots are (position, value), both rising, the positions from 0 to 1. They were chosen so
    that each tenth of the way changes the picture about as much as any other (docs/sliders.md).
    """

    knots: tuple[tuple[float, float], ...]
    logarithmic: bool = False

    def value(self, position: float) -> float:
        """Return the value at a position in [0, 1]; at a knot it is the knot's."""
        for (begin, low), (end, high) in pairwise(self.knots):
            share = (position - begin) / (end - begin)
            if share == 1.0:
                return high
            if 0.0 <= share < 1.0:
                return (
                    low * (high / low) ** share if self.logarithmic else low + share * (high - low)
                )
        raise ValueError(f"position must be from 0 to 1, not {position!r}")

    def reciprocal(self) -> Curve:
        """Return the curve of 1 / value, from its other end."""
        knots = tuple((1 - position, 1 / value) for position, value in reversed(self.knots))
        return dataclasses.replace(self, knots=knots)

    def stops(self, step: float) -> tuple[float, ...]:
        """Return the values at which a slider stops: of three digits, and multiples of `step`."""
        values = [self.value(number / STOPS) for number in range(STOPS + 1)]
        return tuple(round(round(_three_digits(value) / step) * step, 6) for value in values)


ALPHA = Curve(((0.0, 0.01), (0.1, 1.0), (0.4, 8.0), (1.0, 100.0)), logarithmic=True)
BETA = ALPHA.reciprocal()  # the picture depends on β / α alone
STRENGTH = Curve(((0.0, 0.001), (0.6, 0.05), (0.9, 1.0), (1.0, 100.0)), logarithmic=True)  # β / α
DEFAULT_STRENGTH = 0.9  # where β / α is 1
FINEST_SIZES = 256  # pixels, to twice of which a slider stops at every 16


def size_stops(largest: int) -> tuple[int, ...]:
    """Return the sizes at which a slider stops, up to the largest: sixteen for each doubling."""
    stops, size = list[int](), int(options()["size"].range[0])
    while size <= largest:
        stops.append(size)
        size += 16 << max(0, (size // FINEST_SIZES).bit_length() - 1)
    return tuple(stops)


STROKES = Curve(((0.0, 0.5), (1.0, 2.0)), logarithmic=True)  # their size


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a user is shown about one setting. `low` and `high` are inclusive."""

    label: str
    help: str  # one or two sentences in plain words: what turning it up does to the picture
    low: float | None = None
    high: float | None = None
    step: float | None = None
    logarithmic: bool = False  # it is multiplied rather than added to
    stops: tuple[float, ...] = ()  # of its slider, evenly seen; without them `step` apart
    choices: Mapping[str, str] = field(default_factory=dict)  # value -> what it does
    keys: tuple[str, ...] = ()  # of a setting that gives each of some names a number
    advanced: bool = False  # folded away for a beginner
    up: str = ""  # what a value above the default means, in a word or two
    down: str = ""  # and one below

    @property
    def range(self) -> tuple[float, float]:
        """Return (low, high) of a numeric setting."""
        if self.low is None or self.high is None:
            raise TypeError(f"{self.label} has no range")
        return self.low, self.high


def setting(default: Any, label: str, help: str, **option: Any) -> Any:
    """Return a dataclass field whose metadata carries its `Option`."""
    return field(default=default, metadata={"option": Option(label=label, help=help, **option)})


NO_WEIGHT = "The weights of the paintings are all 0; at least one must count."
LEAST_CROP = 0.01  # of a painting's width and height


@dataclass(frozen=True, kw_only=True)
class PaintingUse:
    """How one of a picture's paintings is used. Frozen; invalid values raise `SettingsError`."""

    weight: float = setting(
        1.0,
        "Weight",
        "The painting's share where several blend. Only proportions count; 0 leaves it out.",
        low=0.0,
        high=10.0,
        step=0.05,
        up="more of this painting",
        down="less of this painting",
    )
    strength: float = setting(
        1.0,
        "Strength",
        "A factor of the style weight β where this painting rules.",
        low=0.0,
        high=4.0,
        step=0.05,
        up="stronger style here",
        down="weaker style here",
    )
    layers: tuple[str, ...] = setting(
        (),
        "Layers",
        "The layers that this painting is tied to; where none is named, to all of them. strokes"
        " stands for those up to relu3_4, composition for those from relu4_1 on.",
        choices={name: name for name in LAYER_CHANNELS},
    )
    scale: float = setting(
        1.0,
        "Scale",
        "Size of this painting, times the style scale. Up: larger brush strokes.",
        low=0.25,
        high=4.0,
        step=0.05,
        up="larger strokes",
        down="smaller strokes",
    )
    rotation: float = setting(
        0.0,
        "Rotation",
        "Turns the painting counter-clockwise, in degrees; the largest upright rectangle inside is"
        " taken.",
        low=-180.0,
        high=180.0,
        step=1.0,
    )
    mirror: bool = setting(False, "Mirror", "Exchanges left and right of the painting.")
    crop: tuple[float, float, float, float] = setting(
        (0.0, 0.0, 1.0, 1.0),
        "Crop",
        "The part that is taken: left, top, right and bottom as shares of width and height.",
    )

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            if isinstance(spec.default, float):
                name, value = f"a painting's {spec.name}", getattr(self, spec.name)
                _check(name, value, spec.metadata["option"], whole=False)
        if not isinstance(self.mirror, bool):
            raise SettingsError(f"a painting's mirror must be true or false, not {self.mirror!r}")
        _check_crop(self.crop)
        object.__setattr__(self, "layers", _checked_layers(self.layers))
        object.__setattr__(self, "crop", tuple(self.crop))

    def counts_at(self, layer: str) -> bool:
        """Tell whether the painting counts in the style at a layer."""
        return self.weight > 0 and (not self.layers or layer in self.layers)

    @staticmethod
    def from_json(values: Any) -> PaintingUse:
        """Return a use from `to_json`; what is missing is as usual.

        Raises `SettingsError` for anything else.
        """
        if not isinstance(values, dict):
            raise SettingsError(f"a painting's settings must be an object, not {values!r}")
        for name in values:
            if name not in options(PaintingUse):
                raise SettingsError(f"a painting has no setting {name!r}")
        return PaintingUse(**values)

    def to_json(self) -> dict[str, Any]:
        """Return what differs from the usual, as plain numbers, texts and lists."""
        changed = {
            spec.name: getattr(self, spec.name)
            for spec in dataclasses.fields(self)
            if getattr(self, spec.name) != spec.default
        }
        return {n: list(v) if isinstance(v, tuple) else v for n, v in changed.items()}


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """What to optimise and for how long. Frozen; invalid values raise `SettingsError`.

    The objective is J(G) = α · J_content(C, G) + β · Σ_l λ[l] · J_style[l](S, G), in the units of
    Gatys' published weights (Gatys et al. 2016, eq. 7): α = β = 1 and a weight of 1 for each of
    the five default layers are exactly those.
    """

    size: int = setting(
        384,
        "Size",
        "Longest side of the finished picture in pixels. Twice the size takes two to three times as"
        " long.",
        low=64,
        high=LARGEST,
        step=16,
        up="larger, slower",
        down="smaller, quicker",
    )
    iterations: int = setting(
        60,
        "Iterations",
        "How many times the picture is improved, while it is small and at full size together. Up:"
        " closer to the painting's manner, and slower.",
        low=1,
        high=1000,
        step=1,
        up="more finished",
        down="quicker",
    )
    alpha: float = setting(
        1.0,
        "Content weight α",
        "How firmly the photo's scene is held. Up: more of the photo shows.",
        low=0.01,
        high=100.0,
        step=0.0001,
        logarithmic=True,
        stops=ALPHA.stops(0.0001),
        up="more of the photo",
        down="less of the photo",
    )
    beta: float = setting(
        1.0,
        "Style weight β",
        "How strongly the painting's manner is applied. Up: heavier paint.",
        low=0.01,
        high=100.0,
        step=0.0001,
        logarithmic=True,
        stops=BETA.stops(0.0001),
        up="stronger style",
        down="weaker style",
    )
    layer_weights: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(GATYS_STYLE_LAYERS, 1.0),
        hash=False,
        metadata={
            "option": Option(
                label="Layer weights λ",
                help="How much each VGG-19 layer counts in the style: shallow layers are colour"
                " and grain, deep ones larger shapes. 1 is Gatys' choice, 0 leaves a layer out.",
                low=0.0,
                high=MAX_LAYER_WEIGHT,
                step=0.05,
                keys=tuple(LAYER_CHANNELS),
                up="more of this layer",
                down="less of this layer",
            )
        },
    )
    style_costs: Mapping[str, float] = field(
        default_factory=lambda: {"gram": 1.0},
        hash=False,
        metadata={
            "option": Option(
                label="Style costs",
                help="What the style of a layer is compared by, and how much each counts. 1 does"
                " about as much as Gram matrices do, 0 leaves one out.",
                low=0.0,
                high=10.0,
                step=0.05,
                keys=tuple(STYLE_COSTS),
                advanced=True,
                up="more of it",
                down="less of it",
            )
        },
    )
    content_layer: str = setting(
        "relu4_2",
        "Content layer",
        "The layer that compares the scene. Shallower copies more detail from the photo.",
        choices={name: name for name in LAYER_CHANNELS},
        advanced=True,
    )
    content_layers: Mapping[str, float] = field(
        default_factory=dict,
        hash=False,
        metadata={
            "option": Option(
                label="Content layers",
                help="Several layers that compare the scene, in place of the content layer, and how"
                " much each counts.",
                low=0.0,
                high=MAX_LAYER_WEIGHT,
                step=0.05,
                keys=tuple(LAYER_CHANNELS),
                advanced=True,
            )
        },
    )
    laplacian: float = setting(
        0.0,
        "Outlines",
        "Laplacian weight: how firmly the photo's edges are held, whatever their colour. Up:"
        " clearer outlines. 0 is off.",
        low=0.0,
        high=10.0,
        step=0.1,
        up="clearer outlines",
        advanced=True,
    )
    optimizer: str = setting(
        "lbfgs",
        "Optimiser",
        "How the pixels are moved. L-BFGS needs far fewer iterations.",
        choices={"lbfgs": "L-BFGS", "adam": "Adam"},
        advanced=True,
    )
    start: str = setting(
        "recolored",
        "Start from",
        "The picture that the first iteration sees. From random pixels α = 1 gives texture without"
        " the scene; α from 5 to 10 shows it.",
        choices={
            "recolored": "the photo in the painting's colours",
            "content": "the photo",
            "noise": "random pixels",
        },
        advanced=True,
    )
    init_weight: float = setting(
        1.0,
        "Own start",
        "How much of a picture of your own to start from counts beside what Start from says: 1 is"
        " that picture alone, 0 none of it.",
        low=0.0,
        high=1.0,
        step=0.05,
        down="less of your own picture",
        advanced=True,
    )
    restructure: str = setting(
        "some",
        "Restructure",
        "How far large shapes may stray from the photo: how small the run begins.",
        choices={"little": "little", "some": "some", "much": "much"},
        advanced=True,
    )
    base_size: int = setting(
        256,
        "Base size",
        "The size in pixels at which large shapes are settled, before the picture grows. Down:"
        " bolder strokes in a larger picture. Up: finer ones, and slower.",
        low=128,
        high=2048,
        step=16,
        up="finer strokes",
        down="bolder strokes",
        advanced=True,
    )
    base_weight: float = setting(
        1.0,
        "Hold on large shapes",
        "How firmly large shapes are held in a picture of more than twice the base size. Up:"
        " bolder, with less fine detail. 0 is off.",
        low=0.0,
        high=10.0,
        step=0.1,
        up="bolder",
        down="more fine detail",
        advanced=True,
    )
    edges: str = setting(
        "plain",
        "Edges",
        "Seamless makes a pattern: copies of it join without a seam. Its sides are multiples of 16"
        " px, and towards them the photo passes into itself.",
        choices={"plain": "the photo's own", "seamless": "seamless, for a pattern"},
        advanced=True,
    )
    pooling: str = setting(
        "max",
        "Pooling",
        "How VGG-19 shrinks its layers. Average is smoother, max is crisper.",
        choices={"max": "max", "average": "average"},
        advanced=True,
    )
    style_scale: float = setting(
        1.0,
        "Style scale",
        "Size of the painting relative to the photo. Up: larger brush strokes; a painting with"
        " fewer pixels than that is enlarged.",
        low=0.25,
        high=3.0,
        step=0.05,
        up="larger strokes",
        down="smaller strokes",
        advanced=True,
    )
    total_variation: float = setting(
        0.0,
        "Smoothness",
        "Total variation weight. Up: less speckle, and at the far end no fine strokes. 0 is off.",
        low=0.0,
        high=10.0,
        step=0.1,
        up="smoother",
        advanced=True,
    )
    colors: float = setting(
        0.0,
        "Colours",
        "Whose colours the picture has: -1 the photo's, 0 as painted, 1 the painting's. It changes"
        " at once.",
        low=-1.0,
        high=1.0,
        step=0.05,
        up="closer to the painting's",
        down="closer to the photo's",
    )
    color_transfer: str = setting(
        "none",
        "Colour transfer",
        "What is done about colours before the first iteration. Matched: the painting gets the"
        " photo's colours. Luminance: light and dark alone are painted, and the photo's colours"
        " put back.",
        choices={
            "none": "none",
            "monge": "matched to the photo's (Monge)",
            "pca": "matched to the photo's (PCA)",
            "cholesky": "matched to the photo's (Cholesky)",
            "luminance": "luminance alone",
            "luminance_matched": "luminance alone, matched to the photo's",
        },
        advanced=True,
    )
    seed: int = setting(
        0,
        "Seed",
        "Which random pixels to start from. The same seed gives the same picture again.",
        low=0,
        high=2**31 - 1,
        step=1,
        advanced=True,
    )
    precision: str = setting(
        "auto",
        "Precision",
        "The number format of the network. bfloat16 is faster where the processor has it.",
        choices={"auto": "what suits this machine", "float32": "float32", "bfloat16": "bfloat16"},
        advanced=True,
    )
    weights: str = setting(
        "original",
        "Network weights",
        "Which training of VGG-19 looks at the pictures.",
        choices={
            "original": "original VGG-19, as used by Gatys (installed)",
            "torchvision": "torchvision's VGG-19 (downloads 548 MB once)",
            "hub": "a VGG-19 on the Hugging Face Hub (downloads 80 MB once)",
        },
        advanced=True,
    )
    paintings: tuple[PaintingUse, ...] = ()
    """One for each painting in their order; those missing are as usual. No slider stands for it."""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            option, value = spec.metadata.get("option"), getattr(self, spec.name)
            if option and option.keys:
                _check_weights(spec.name, value, option)
                object.__setattr__(self, spec.name, dict(value))
            elif option:
                _check(spec.name, value, option, whole=isinstance(spec.default, int))
        if not self.used_style_costs:
            raise SettingsError("style_costs must give one of its costs a weight above 0")
        object.__setattr__(self, "paintings", _checked_uses(self.paintings))

    @property
    def style_layers(self) -> dict[str, float]:
        """Return the layers that count, shallow to deep: name -> relative weight above 0."""
        return {
            name: float(self.layer_weights[name])
            for name in LAYER_CHANNELS
            if self.layer_weights.get(name, 0.0) > 0.0
        }

    @property
    def used_style_costs(self) -> dict[str, float]:
        """Return the style costs that count: name -> weight above 0."""
        return {name: float(w) for name in STYLE_COSTS if (w := self.style_costs.get(name, 0)) > 0}

    @property
    def content_weights(self) -> dict[str, float]:
        """Return the layers that compare the scene, shallow to deep: name -> weight above 0."""
        weights = self.content_layers
        several = {name: float(w) for name in LAYER_CHANNELS if (w := weights.get(name, 0)) > 0}
        return several or {self.content_layer: 1.0}

    @property
    def is_seamless(self) -> bool:
        """Tell whether copies of the picture join without a seam."""
        return self.edges == "seamless"

    def uses(self, n_paintings: int) -> tuple[PaintingUse, ...]:
        """Return how each of so many paintings is used."""
        return (*self.paintings, *repeat(PaintingUse(), n_paintings))[:n_paintings]

    def used(self, paintings: Sequence[Painting]) -> list[Painting]:
        """Return those of some paintings that have a weight."""
        uses = self.uses(len(paintings))
        return [each for each, use in zip(paintings, uses, strict=True) if use.weight > 0]

    @property
    def is_luminance_only(self) -> bool:
        """Tell whether luminance alone is painted, and the photo's colours are put back."""
        return self.color_transfer.startswith("luminance")

    def paints_like(self, other: TransferSettings) -> bool:
        """Tell whether a run would go the same way.

        The colours are dialled on what it has painted.
        """
        mine, others = (
            (s.replace(**ALIKE), s.style_layers, s.used_style_costs, s.content_weights)
            for s in (self, other)
        )
        return mine == others

    @staticmethod
    def from_json(values: Any, *, version: int = VERSION) -> TransferSettings:
        """Return settings from `to_json`, of this version or an older one.

        What is missing is as usual. Raises `SettingsError` for anything else.
        """
        if not isinstance(values, dict):
            raise SettingsError(f"settings must be an object, not {values!r}")
        names = {*options(), "paintings"}
        for name in values:
            if name not in names:
                raise SettingsError(f"there is no setting {name!r}")
        if "paintings" in values:
            values = {**values, "paintings": _uses_from_json(values["paintings"])}
        return _of_older_version(TransferSettings(**values), version)

    def to_json(self) -> dict[str, Any]:
        """Return every setting by name, as plain numbers, texts and dicts of weights.

        `paintings` are a list of objects, and left out where all are used as usual.
        """
        values = dataclasses.asdict(self)
        del values["paintings"]
        uses = [use.to_json() for use in self.paintings]
        return {**values, "paintings": uses} if uses else values

    def replace(self, **changes: Any) -> TransferSettings:
        """Return a copy with some values changed.

        Raises `SettingsError` for values out of range.
        """
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """What a film has beside the settings of its pictures. Frozen, as `TransferSettings` are."""

    frame_iterations: int = setting(
        8,
        "Iterations of a frame",
        "How many times each frame is improved that goes on from the one before, up to the"
        " iterations of a picture, which the first frame of a scene has.",
        low=1,
        high=1000,
        step=1,
        up="more finished",
        down="quicker",
    )
    temporal_weight: float = setting(
        1.0,
        "Stability",
        "Temporal weight: how firmly paint stays on what it was painted on. Up: calmer. 0 is off.",
        low=0.0,
        high=100.0,
        step=0.1,
        up="calmer",
        down="livelier",
    )

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            option, value = spec.metadata["option"], getattr(self, spec.name)
            _check(spec.name, value, option, whole=isinstance(spec.default, int))

    def to_json(self) -> dict[str, Any]:
        """Return every setting by name, as plain numbers."""
        return dataclasses.asdict(self)


def options(
    kind: type[TransferSettings] | type[PaintingUse] | type[FilmSettings] = TransferSettings,
) -> dict[str, Option]:
    """Return the `Option` of every setting, in the order in which they are shown.

    They are those of a run, of the use of a painting, or of a film.
    """
    specs = dataclasses.fields(kind)
    return {spec.name: spec.metadata["option"] for spec in specs if "option" in spec.metadata}


def parse_weights(text: str, example: str = "relu1_1=0.5") -> dict[str, float]:
    """Return weights by name from `relu1_1=1,relu2_1=0.5`; names that are missing are left out.

    Raises `SettingsError` when a part has another form than the example; names and ranges are
    checked by `TransferSettings`.
    """
    weights = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            separator = ""
        if not separator:
            raise SettingsError(f"a weight looks like {example}, not {part!r}")
    return weights


def weights_example(option: Option) -> str:
    """Return how weights are written for a setting: `relu1_1=1,relu1_2=0.5`."""
    first, second = option.keys[:2]
    return f"{first}=1,{second}=0.5"


def weights_text(weights: Mapping[str, float]) -> str:
    """Return weights as `parse_weights` reads them."""
    return ",".join(f"{name}={weight:g}" for name, weight in weights.items())


def parse_layers(text: str) -> tuple[str, ...]:
    """Return the layers in `relu1_1+relu2_1`, where `LAYER_GROUPS` may be named as well.

    The names are checked by `PaintingUse`.
    """
    names = [name.strip() for name in text.split("+")]
    return tuple(layer for name in names for layer in LAYER_GROUPS.get(name, (name,)))


def layers_text(layers: tuple[str, ...]) -> str:
    """Return the layers of a painting as `parse_layers` reads them, by their group if they can."""
    groups = {group: name for name, group in LAYER_GROUPS.items()}
    return groups.get(layers) or "+".join(layers)


def strength_settings(position: float) -> dict[str, float]:
    """Return α and β at a position of Strength, from 0 (a clear photo) to 1 (bold paint)."""
    ratio = STRENGTH.value(position)
    return {"alpha": _three_digits(ratio**-0.5), "beta": _three_digits(ratio**0.5)}


def strokes_settings(position: float) -> dict[str, Any]:
    """Return what a position of Strokes stands for, from 0 (fine) to 1 (broad).

    Broad strokes are a larger painting, a smaller base, and more of the deep layers.
    """
    size = STROKES.value(position)
    depths = zip(GATYS_STYLE_LAYERS, (-1.0, -0.5, 0.0, 0.5, 1.0), strict=True)
    return {
        "style_scale": round(20 * size) / 20,
        "base_size": 16 * round(16 / size),
        "layer_weights": {layer: round(20 * size ** (1.5 * depth)) / 20 for layer, depth in depths},
    }


def _of_older_version(settings: TransferSettings, version: int) -> TransferSettings:
    """Translate settings that were written as an older version.

    In version 1 a total variation weight of 1 was a thousandth of today's unit, and did not grow
    with β. Up to version 2 nearly all iterations were at the full size, and up to version 3 the
    base size did not count in the stages after it. While a picture is enlarged, the photo counts
    for more since version 4.
    """
    if version < 2:
        weight = settings.total_variation / (1000 * settings.beta)
        settings = settings.replace(total_variation=weight)
    if version < 3:
        settings = settings.replace(base_size=int(options()["base_size"].range[1]))
    if version < 4:
        settings = settings.replace(base_weight=0.0)
    return settings


def _check(name: str, value: Any, option: Option, *, whole: bool) -> None:
    if option.choices:
        if value not in tuple(option.choices):
            raise SettingsError(f"{name} must be one of {', '.join(option.choices)}, not {value!r}")
        return
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not _is_finite(value):
        raise SettingsError(
            f"{name} must be a {'whole' if whole else 'finite'} number, not {value!r}"
        )
    low, high = option.range
    if not low <= value <= high:
        raise SettingsError(f"{name} must be from {low:g} to {high:g}, not {value!r}")


def _check_weights(name: str, weights: Any, option: Option) -> None:
    kind = "layer" if option.keys == tuple(LAYER_CHANNELS) else "cost"
    if not isinstance(weights, Mapping):
        raise SettingsError(f"{name} must map {kind} names to weights, not {weights!r}")
    for key, weight in weights.items():
        if key not in option.keys:
            raise SettingsError(
                f"{name} names a {kind} {key!r}; the {kind}s are {', '.join(option.keys)}"
            )
        _check(f"the weight of {key}", weight, option, whole=False)


def _checked_layers(layers: Any) -> tuple[str, ...]:
    """Return the names of layers from shallow to deep, each once."""
    if not isinstance(layers, (tuple, list)):
        raise SettingsError(f"a painting's layers must be a list of names, not {layers!r}")
    for layer in layers:
        if layer not in tuple(LAYER_CHANNELS):
            raise SettingsError(
                f"a painting's layers name {layer!r:.15}; the layers are"
                f" {', '.join(LAYER_CHANNELS)}"
            )
    return tuple(layer for layer in LAYER_CHANNELS if layer in layers)


def _check_crop(crop: Any) -> None:
    sides = tuple(crop) if isinstance(crop, (tuple, list)) else ()
    are_shares = len(sides) == 4 and all(
        isinstance(side, (int, float)) and not isinstance(side, bool) and 0 <= side <= 1
        for side in sides
    )
    if not are_shares or min(sides[2] - sides[0], sides[3] - sides[1]) < LEAST_CROP:
        raise SettingsError(
            "a painting's crop must be its left, top, right and bottom from 0 to 1, at least"
            f" {LEAST_CROP} apart, not {crop!r}"
        )


def _checked_uses(uses: Any) -> tuple[PaintingUse, ...]:
    """Return the uses of paintings, without the usual ones at the end."""
    if not isinstance(uses, (tuple, list)) or not all(isinstance(u, PaintingUse) for u in uses):
        raise SettingsError(f"paintings must be a list of PaintingUse, not {uses!r}")
    if len(uses) > MOST_STYLES:
        raise SettingsError(f"at most {MOST_STYLES} paintings can be used, not {len(uses)}")
    n_kept = max((n for n, use in enumerate(uses, start=1) if use != PaintingUse()), default=0)
    return tuple(uses[:n_kept])


def _uses_from_json(values: Any) -> tuple[PaintingUse, ...]:
    if not isinstance(values, list):
        raise SettingsError(f"paintings must be a list of objects, not {values!r}")
    return tuple(map(PaintingUse.from_json, values[: MOST_STYLES + 1]))


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # an int may be too large for a float


DEFAULTS = TransferSettings()
FILM_DEFAULTS = FilmSettings()
LIVING_RATE = 12.0  # frames per second of a living painting, where nothing else is asked for

# What `paints_like` looks at in another way, or not at all.
ALIKE: dict[str, Any] = {
    name: getattr(DEFAULTS, name)
    for name in ("colors", "layer_weights", "style_costs", "content_layer", "content_layers")
}
