"""Evaluations as CUDA graphs, on an emulated device: no GPU was there to capture one.

The emulation computes on the CPU, so that what is replayed must have the very bits of what is not.
"""

from __future__ import annotations

import gc
import itertools
import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from helpers.emulated_device import EmulatedDevice, emulated_device
from helpers.tape import Recorder, Tape
from helpers.tiny_network import MakeNetwork
from nst.engine import cuda_graphs
from nst.engine.cuda_graphs import CudaGraphs
from nst.engine.minimization import minimize
from nst.engine.objective import Objective, make_room
from nst.engine.optimizers import make_optimizer
from nst.engine.style_target import EASED, FULL, Guidance
from nst.engine.transfer import TransferStep, transfer_style
from nst.settings import DEFAULTS, TransferSettings
from nst.vgg.cuda_options import CudaOptions
from nst.vgg.network import VGG

MOST_LAUNCHES = 75  # of an iteration, its graph among them

EDITED = DEFAULTS.replace(
    alpha=3.0, beta=0.5, layer_weights={**DEFAULTS.layer_weights, "relu2_1": 0.3, "relu5_1": 2.0}
)
TWO_CONTENT_LAYERS = DEFAULTS.replace(content_layers={"relu3_2": 0.5, "relu4_2": 1.0})


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedDevice]:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "Emulated")
    pools = itertools.count()
    monkeypatch.setattr("torch.cuda.graph_pool_handle", lambda: next(pools))
    with emulated_device("cuda") as device:
        yield device


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def picture(seed: int, height: int = 32, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, height, width), generator=generator).to("cuda")


def objective_of(
    network: VGG,
    graphs: CudaGraphs | None = None,
    settings: TransferSettings = DEFAULTS,
    *,
    guidance: Guidance | None = None,
    pictures: Sequence[Tensor] = (),
) -> Objective:
    photo, painting = pictures or (picture(1), picture(2))
    objective = Objective(network, photo, [painting], settings)
    objective.guidance, objective.graphs = guidance, graphs
    return objective


@pytest.fixture
def deep_layers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every evaluation take them from an earlier one, where that may be."""
    monkeypatch.setattr("nst.engine.objective.DEEP_SHARE", 1.0)


def assert_equal_evaluations(a: Objective, b: Objective, image: Tensor) -> None:
    (costs, gradient), (its_costs, its_gradient) = a.evaluate(image), b.evaluate(image)
    assert costs == its_costs
    assert torch.equal(gradient.cpu(), its_gradient.cpu())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("pooling", "guidance", "settings"),
    [("max", FULL, DEFAULTS), ("average", None, DEFAULTS), ("max", None, TWO_CONTENT_LAYERS)],
    ids=["guided", "average pooling", "two content layers"],
)
@pytest.mark.usefixtures("cuda", "deep_layers_are_kept")
def test_a_replay_has_the_bits_of_an_evaluation(
    recorder: Recorder,
    make_network: MakeNetwork,
    dtype: torch.dtype,
    pooling: str,
    guidance: Guidance | None,
    settings: TransferSettings,
) -> None:
    network = make_network(device="cuda", dtype=dtype, pooling=pooling)
    plain, graphed = (
        objective_of(network, graphs, settings, guidance=guidance)
        for graphs in (None, CudaGraphs(recorder))
    )
    for seed in range(3, 7):  # all layers, and then with deep ones that are kept
        assert_equal_evaluations(plain, graphed, picture(seed))
    for objective in (plain, graphed):
        objective.forget()
    assert_equal_evaluations(plain, graphed, picture(7))
    assert len(recorder.tapes) == 2
    assert recorder.replays == 5


@pytest.mark.parametrize("guidance", [None, FULL], ids=["exact", "guided"])
def test_weights_and_pictures_are_written_over_what_a_graph_reads(
    cuda: EmulatedDevice, recorder: Recorder, make_network: MakeNetwork, guidance: Guidance | None
) -> None:
    network, graphs = make_network(device="cuda"), CudaGraphs(recorder)
    eased = EASED if guidance else None
    kinds: list[dict[str, Any]] = [
        {"guidance": guidance},
        {"settings": EDITED, "guidance": guidance},
        {"pictures": (picture(5), picture(6, 40, 24)), "guidance": guidance},
        {"settings": EDITED.replace(total_variation=0.2, laplacian=0.5), "guidance": eased},
    ]
    plain = [objective_of(network, **kind) for kind in kinds]
    graphed = [objective_of(network, graphs, **kind) for kind in kinds]
    for seed in (7, 8):  # in turn: each finds what the one before has left
        for a, b in zip(plain, graphed, strict=True):
            for objective in (a, b):
                objective.forget()
            assert_equal_evaluations(a, b, picture(seed))
    assert len(recorder.tapes) == 1
    costs = [objective.evaluate(picture(7))[0].J for objective in graphed]
    assert len(set(costs)) == len(kinds)


def operators_of(function: Callable[[], object]) -> list[tuple[Any, ...]]:
    """Return what a capture freezes: operators and numbers, in their order."""
    with Tape("cuda") as tape:
        function()
    sequence: list[tuple[Any, ...]] = tape.sequence
    return sequence


@pytest.mark.parametrize("is_shallow", [False, True], ids=["all layers", "deep layers kept"])
@pytest.mark.parametrize("guidance", [None, FULL], ids=["exact", "guided"])
@pytest.mark.usefixtures("cuda", "deep_layers_are_kept")
def test_evaluations_of_a_kind_are_the_same_operators_and_numbers(
    make_network: MakeNetwork, guidance: Guidance | None, is_shallow: bool
) -> None:
    network = make_network(device="cuda")

    def sequence(guidance: Guidance | None, settings: TransferSettings, seed: int) -> Any:
        objective = objective_of(network, None, settings, guidance=guidance)
        objective.evaluate(picture(9))
        kept, image = (objective._kept if is_shallow else None), picture(seed)
        objective._batched(image, kept)  # what is made once is made
        return operators_of(lambda: objective._batched(image, kept))

    expected = sequence(guidance, DEFAULTS, 3)
    assert len(expected) > 60
    assert sequence(guidance, DEFAULTS, 4) == expected
    assert sequence(guidance, EDITED, 3) == expected
    assert sequence(None if guidance else FULL, DEFAULTS, 3) != expected


def test_a_number_from_python_would_be_noticed(cuda: EmulatedDevice, recorder: Recorder) -> None:
    factor, image = 2.0, picture(1)
    replay, outputs = recorder(lambda: {"product": factor * image}, None)
    image.copy_(picture(2))
    replay()
    assert torch.equal(outputs["product"].cpu(), 2 * picture(2).cpu())
    factor = 3.0
    replay()
    assert not torch.equal(outputs["product"].cpu(), 3 * picture(2).cpu())
    assert recorder.tapes[0].sequence != operators_of(lambda: factor * image)


@pytest.mark.parametrize(
    "function",
    [
        lambda: float(picture(1).sum()),
        lambda: picture(1).sum().item(),
        lambda: torch.ones(3).to("cuda"),
        lambda: torch.ones(3, device="cuda") + torch.ones(()),
    ],
)
def test_what_a_capture_refuses_raises(
    cuda: EmulatedDevice, function: Callable[[], object]
) -> None:
    with pytest.raises(RuntimeError, match="not permitted in a capture"):
        operators_of(function)


def run(
    photo: Image.Image, painting: Image.Image, network: VGG, **options: Any
) -> list[TransferStep]:
    settings = TransferSettings(size=64, iterations=options.pop("iterations", 30))
    settings = settings.replace(**options.pop("edit", {}))
    return list(transfer_style(photo, painting, settings, network=network, **options))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> CudaGraphs:
    """Ask for graphs, and have them recorded."""
    monkeypatch.setenv("NST_CUDA", "graphs")
    graphs = CudaGraphs(recorder)
    monkeypatch.setattr("nst.engine.objective.shared_graphs", graphs)
    return graphs


@pytest.mark.usefixtures("cuda", "asked", "deep_layers_are_kept")
def test_a_run_is_the_same_and_an_edit_captures_nothing(
    recorder: Recorder, make_network: MakeNetwork, photo: Image.Image, painting: Image.Image
) -> None:
    network, plain = make_network(device="cuda"), make_network(device="cuda")
    plain.cuda_options = CudaOptions()
    steps = run(photo, painting, network)
    replays = recorder.replays
    assert len(recorder.tapes) == 4  # guided or not, with deep layers or not
    assert replays == 32  # evaluations of both phases
    expected = run(photo, painting, plain)
    assert recorder.replays == replays
    assert [step.J for step in steps] == [step.J for step in expected]
    assert steps[-1].image.tobytes() == expected[-1].image.tobytes()

    edit = {"alpha": 2.0, "beta": 0.7, "layer_weights": EDITED.layer_weights, "iterations": 36}
    edited = [
        run(photo, painting, each, begin=of[12].moment, edit=edit)
        for each, of in ((network, steps), (plain, expected))
    ]
    assert recorder.replays > replays
    assert len(recorder.tapes) == 4
    assert edited[0][-1].image.tobytes() == edited[1][-1].image.tobytes()


@pytest.mark.usefixtures("cuda")
def test_a_graph_serves_one_network_size_and_set_of_layers(
    recorder: Recorder, make_network: MakeNetwork
) -> None:
    network, graphs = make_network(device="cuda"), CudaGraphs(recorder)
    without, without_another = (
        DEFAULTS.replace(layer_weights={**DEFAULTS.layer_weights, layer: 0.0})
        for layer in ("relu3_1", "relu2_1")  # whose tensors have the same shapes
    )
    tall = picture(1, 40, 24), picture(2)
    objective_of(network, graphs).evaluate(picture(3))
    objective_of(network, graphs, without).evaluate(picture(3))
    objective_of(network, graphs, without_another).evaluate(picture(3))
    objective_of(network, graphs, guidance=FULL).evaluate(picture(3))
    assert recorder.pools == [0, 0, 0, 0]  # they share the memory of their size
    objective_of(network, graphs, pictures=tall).evaluate(picture(3, 40, 24))
    objective_of(make_network(device="cuda", dtype=torch.bfloat16), graphs).evaluate(picture(3))
    assert recorder.pools == [0, 0, 0, 0, 1, 2]
    objective_of(network, graphs).evaluate(picture(4))
    assert len(recorder.tapes) == 6


@pytest.mark.usefixtures("cuda")
def test_graphs_are_given_up_for_good_when_a_capture_fails(
    make_network: MakeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def fail(function: Callable[[], object], pool: object) -> Any:
        tried.append(pool)
        raise RuntimeError("operation not permitted when stream is capturing")

    network, graphs = make_network(device="cuda"), CudaGraphs(fail)
    plain, graphed = objective_of(network), objective_of(network, graphs)
    with caplog.at_level(logging.WARNING):
        for seed in (3, 4, 5):
            assert_equal_evaluations(plain, graphed, picture(seed))
        objective_of(network, graphs, guidance=FULL).evaluate(picture(3))
    assert tried == [0]
    assert len(caplog.records) == 1
    assert "not permitted" in caplog.text


@pytest.mark.usefixtures("cuda")
def test_without_a_driver_runs_go_on(
    make_network: MakeNetwork,
    photo: Image.Image,
    painting: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setenv("NST_CUDA", "graphs, benchmark,tf32")
    monkeypatch.setattr("nst.engine.objective.shared_graphs", CudaGraphs())
    steps = run(photo, painting, make_network(device="cuda"), iterations=3)
    assert steps[-1].iteration == 3
    assert len([each for each in caplog.records if "given up" in each.message]) == 1


@pytest.mark.usefixtures("cuda")
def test_memory_is_given_back(
    asked: CudaGraphs, recorder: Recorder, make_network: MakeNetwork
) -> None:
    network = make_network(device="cuda")
    objective_of(network, asked).evaluate(picture(3))
    (tape,) = recorder.tapes
    held = weakref.ref(tape)
    del tape
    recorder.tapes.clear()
    gc.collect()
    assert held() is not None
    make_room()
    gc.collect()
    assert held() is None
    objective_of(network, asked).evaluate(picture(3))
    assert len(recorder.tapes) == 1


@pytest.mark.usefixtures("cuda")
def test_the_stages_used_last_are_kept(
    recorder: Recorder, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "KEPT_PIXELS", 2 * 32 * 48)
    monkeypatch.setattr(cuda_graphs, "MOST_PIXELS", 32 * 48)
    network, graphs = make_network(device="cuda"), CudaGraphs(recorder)
    wide = [
        objective_of(network, graphs, pictures=(picture(1, 32, w), picture(2)))
        for w in (48, 32, 40)
    ]
    for objective in wide:
        objective.evaluate(picture(3, *objective.size))
    assert len(recorder.tapes) == 3
    for objective in wide:
        objective.forget()
    wide[1].evaluate(picture(4, *wide[1].size))
    assert len(recorder.tapes) == 3
    wide[0].evaluate(picture(4, *wide[0].size))  # had to give way
    assert len(recorder.tapes) == 4
    larger = objective_of(network, graphs, pictures=(picture(1, 48, 48), picture(2)))
    larger.evaluate(picture(3, 48, 48))
    assert len(recorder.tapes) == 4


@pytest.mark.usefixtures("asked")
def test_on_a_cpu_there_are_none(
    recorder: Recorder, network: VGG, photo: Image.Image, painting: Image.Image
) -> None:
    image = torch.rand(1, 3, 16, 16)
    assert Objective(network, image, [image], DEFAULTS).graphs is None
    run(photo, painting, network, iterations=3)
    assert recorder.tapes == []


def test_an_iteration_with_a_graph_launches_half_as_much(
    cuda: EmulatedDevice, recorder: Recorder, make_network: MakeNetwork
) -> None:
    def capture(function: Callable[[], dict[str, Tensor]], pool: Any) -> Any:
        replay, outputs = recorder(function, pool)

        def replay_as_one() -> None:
            counted = cuda.launches.copy()
            replay()
            cuda.launches = counted
            cuda.launches["graph"] += 1

        return replay_as_one, outputs

    network, launches = make_network(device="cuda", pooling="average"), []
    for graphs in (None, CudaGraphs(capture)):
        objective = objective_of(network, graphs)
        points = minimize(objective, picture(1), make_optimizer("lbfgs"), 16)
        for _ in range(16):
            next(points)
        cuda.clear()
        next(points)
        launches.append(sum(cuda.launches.values()))
        assert sum(cuda.waits.values()) == 1
    assert cuda.launches["graph"] == 1
    assert launches[0] > MOST_LAUNCHES + 40
    assert launches[1] <= MOST_LAUNCHES
