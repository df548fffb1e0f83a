"""The methods that are compared: each a function of a `Task` and a `Report`, without end.

The textbook, the tutorial's recipe and Crowson's minimise the very cost that they are judged by;
neural-style-pt's has its own weights of the same terms; pastiche runs as its package ships it, with
that cost up to a factor; ours runs with its defaults.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks import textbook
from benchmarks.textbook import Textbook
from nst.vgg.loading import load_weights

# Called after every evaluation of J and its gradient with their number so far, counted in
# full-size ones, and a function that makes the picture as it would be delivered now. The clock
# stands still inside. Raises `Enough` when the method has had its share.
Report = Callable[[float, Callable[[], Image.Image]], None]


class Enough(Exception):  # noqa: N818  # nothing went wrong
    """Ends a method."""


@dataclass(frozen=True)
class Task:
    """A photo and a painting, files already at the size of the run, and the device to run on."""

    content: Path
    style: Path
    device: str = "cpu"

    def pixels(self) -> tuple[Tensor, Tensor]:
        """Both as (1, 3, H, W) float32 RGB in [0, 1]."""
        return to_tensor(self.content).to(self.device), to_tensor(self.style).to(self.device)


def ours(task: Task, start: Callable[[], None], report: Report, *, precision: str = "auto") -> None:
    """This project, with its defaults."""
    from nst import TransferSettings, transfer_style
    from nst.engine.devices import load_network
    from nst.engine.schedule import plan_scales

    photo, painting = (Image.open(path).convert("RGB") for path in (task.content, task.style))
    settings = TransferSettings(size=max(photo.size), precision=precision)
    load_network(settings, task.device)
    phases = [iterations for scale in plan_scales(settings) for _, iterations in scale.phases]
    beginnings = {sum(phases[:index]) + 1 for index in range(1, len(phases))}
    start()
    evaluations = 0.0
    for step in transfer_style(photo, painting, settings, device=task.device):
        looks = 2 if step.iteration in beginnings else 1  # a phase looks at its start once more
        evaluations += looks * step.width * step.height / (photo.width * photo.height)
        if (step.width, step.height) == photo.size:
            report(evaluations, lambda step=step: step.image)  # type: ignore[misc]
    raise Enough


def ours_in_float32(task: Task, start: Callable[[], None], report: Report) -> None:
    """The same in the number format of the others."""
    ours(task, start, report, precision="float32")


def reference(task: Task, start: Callable[[], None], report: Report) -> None:
    """The textbook: L-BFGS in float32, clamped after each step."""
    content, style = task.pixels()
    weights = load_weights("original")
    start()
    cost = Textbook(content, style, weights)
    for evaluations, image in enumerate(textbook.lbfgs(cost, content), 1):
        report(evaluations, lambda image=image: to_image(image))  # type: ignore[misc]


def pastiche(task: Task, start: Callable[[], None], report: Report) -> None:
    """The package pastiche, as shipped: L-BFGS in float32, clamped when saved."""
    from pastiche.pastiche import PasticheArtist, save_image

    size, style_size = (max(Image.open(path).size) for path in (task.content, task.style))
    artist = PasticheArtist(
        str(task.content), [str(task.style)], size=size, style_size=style_size, device=task.device
    )
    start()  # what it works out beforehand is not counted, since it loads its parameters there too
    evaluations = 0

    def saved() -> Image.Image:
        with tempfile.TemporaryDirectory() as folder:
            save_image(artist.pastiche, f"{folder}/saved.png")
            return Image.open(f"{folder}/saved.png").convert("RGB")

    while True:
        artist.draw()
        evaluations += 1
        report(evaluations, saved)


def tutorial(task: Task, start: Callable[[], None], report: Report) -> None:
    """The recipe of PyTorch's tutorial "Neural Transfer Using PyTorch": torch's L-BFGS as it is,
    and pixels clamped inside its closure, before each evaluation. On the common cost and network,
    so that the two can be compared."""
    content, style = task.pixels()
    weights = load_weights("original")
    start()
    cost = Textbook(content, style, weights)
    image = content.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([image])
    evaluations = 0

    def closure() -> Tensor:
        nonlocal evaluations
        with torch.no_grad():
            image.clamp_(0, 1)
        optimizer.zero_grad()
        total = cost(image).total
        total.backward()  # type: ignore[no-untyped-call]
        evaluations += 1
        shown = image.detach().clone()
        report(evaluations, lambda: to_image(shown))
        return total

    while True:
        optimizer.step(closure)  # type: ignore[no-untyped-call]


def crowson(task: Task, start: Callable[[], None], report: Report) -> None:
    """The method of Katherine Crowson's style-transfer-pytorch, from its description: Adam (rate
    0.02, betas 0.9 and 0.99), scales growing by √2 from 128 px with Adam's state enlarged, twice
    the iterations at the first, and the moving average of the iterates (0.99) delivered. On the
    common cost, and with a fifth of its 500 iterations at each scale: on a CPU that is long."""
    iterations, decay = 100, 0.99
    content, style = task.pixels()
    weights = load_weights("original")
    start()
    longest = max(content.shape)
    steps_down = max(0, math.floor(2 * math.log2(longest / 128)))
    state = [content, torch.zeros_like(content), torch.zeros_like(content)]  # image, Adam's moments
    evaluations, count = 0.0, 0
    for level in range(steps_down, -1, -1):
        scaled = [_resized(picture, 2 ** (-level / 2)) for picture in (content, style)]
        cost = Textbook(scaled[0], scaled[1], weights)
        state = [_like(tensor, scaled[0]) for tensor in state]
        image, mean, square = state[0].clamp(0, 1), state[1], state[2].relu()
        average, weight = torch.zeros_like(image), 0.0
        for _ in range(iterations * (2 if level == steps_down else 1)):
            gradient = textbook.gradient(cost, image)
            count += 1
            mean = mean.lerp(gradient, 0.1)
            square = square.lerp(gradient.square(), 0.01)
            step = (mean / (1 - 0.9**count)) / ((square / (1 - 0.99**count)).sqrt() + 1e-8)
            image = (image - 0.02 * step).clamp(0, 1)
            average, weight = average.lerp(image, 1 - decay), 1 - (1 - weight) * decay
            evaluations += image.numel() / content.numel()
            if level == 0:
                shown = average / weight
                report(evaluations, lambda shown=shown: to_image(shown))  # type: ignore[misc]
        state = [average / weight, mean, square]
    raise Enough


def neural_style_pt(task: Task, start: Callable[[], None], report: Report) -> None:
    """The recipe of neural-style-pt (ProGamerGov) with its defaults, on our network: torch's L-BFGS
    with 100 pairs from noise around the mean colour, content weight 5, style weight 100 (a fiftieth
    of Gatys' beside the content), and total variation 0.001. Clamped when saved."""
    content, style = task.pixels()
    weights = load_weights("original")
    start()
    cost = Textbook(content, style, weights)
    generator = torch.Generator().manual_seed(0)
    noise = 0.001 * torch.randn(content.shape, generator=generator)  # levels of 255
    levels = noise.to(task.device).requires_grad_()
    optimizer = torch.optim.LBFGS([levels], max_iter=1000, tolerance_change=-1, tolerance_grad=-1)
    evaluations = 0

    def closure() -> Tensor:
        nonlocal evaluations
        optimizer.zero_grad()
        image = levels / 255 + cost.mean
        content_cost, style_cost = cost(image)
        down, right = levels.diff(dim=-2).abs().sum(), levels.diff(dim=-1).abs().sum()
        # The textbook's cost of style has the factor 1000 where this recipe has 100.
        total = 5 * content_cost + 0.1 * style_cost + 0.001 * (down + right)
        total.backward()  # type: ignore[no-untyped-call]
        evaluations += 1
        report(evaluations, lambda: to_image(image.clamp(0, 1)))
        return total

    while True:
        optimizer.step(closure)  # type: ignore[no-untyped-call]


METHODS = {
    "ours": ours,
    "ours-float32": ours_in_float32,
    "reference": reference,
    "pastiche": pastiche,
    "tutorial": tutorial,
    "crowson": crowson,
    "neural-style-pt": neural_style_pt,
}


def to_tensor(path: Path) -> Tensor:
    """(1, 3, H, W) float32 RGB in [0, 1] of a picture file."""
    with Image.open(path) as picture:
        return tensor_of(picture.convert("RGB"))


def tensor_of(picture: Image.Image) -> Tensor:
    data = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    rows = data.view(1, picture.height, picture.width, 3)
    return rows.permute(0, 3, 1, 2).contiguous() / 255


def to_image(image: Tensor) -> Image.Image:
    """The 8-bit picture of (1, 3, H, W) in [0, 1]."""
    pixels = (image[0].detach().cpu() * 255).round().byte().permute(1, 2, 0).contiguous()
    return Image.frombytes("RGB", (pixels.shape[1], pixels.shape[0]), pixels.numpy().tobytes())


def _resized(picture: Tensor, factor: float) -> Tensor:
    size = [max(1, round(side * factor)) for side in picture.shape[-2:]]
    return F.interpolate(picture, size, mode="bicubic", antialias=True).clamp(0, 1)


def _like(tensor: Tensor, other: Tensor) -> Tensor:
    return F.interpolate(tensor, other.shape[-2:], mode="bicubic")
