"""Paint the scenes of a film at the same time, by actors on a Ray cluster.

A scene begins anew, so its frames depend on no other scene. Each actor has the clip, and decodes it
as far as its scene; finished frames come home as they are. No file system is shared.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from nst.engine import devices
from nst.errors import ClusterError, UserError, WorkerError
from nst.images.writing import png_bytes
from nst.ray_clusters import ActorStarter, JoinedCluster, divide, first_line
from nst.vgg.network import VGG
from nst.video.clips import Clip
from nst.video.film_plan import FilmPlan
from nst.video.frame_store import FrameStore
from nst.video.transfer import FilmStep, Remembered, Scene

MOST_LOSSES = 3  # actors that one scene may cost
TICK = 0.2  # seconds between two looks at what else there is to do
UNSEEN = torch.empty(1, 3, 0, 0)  # pixels of a frame that is not finished: they stay there


class SceneActor:
    """What runs on the cluster: a network, and the clip as a file."""

    def __init__(self, plan: FilmPlan, clip: bytes, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._folder = tempfile.TemporaryDirectory(prefix="nst-")
        path = Path(self._folder.name, f"clip{plan.clip.path.suffix}")
        path.write_bytes(clip)
        self._plan = replace(plan, clip=Clip(path, plan.clip.size, plan.clip.rate))
        self._network = devices.load_network(plan.settings, device)

    def is_ready(self) -> bool:
        """Return True, as a sign of life."""
        return True

    def paint(self, scene: Scene, painted: Mapping[int, bytes]) -> Iterator[FilmStep]:
        """Yield the steps of a scene, but for the frames that were painted before: PNGs."""

        def load(number: int) -> Image.Image | None:
            if number not in painted:
                return None
            return Image.open(BytesIO(painted[number])).convert("RGB")

        for step in self._plan.paint(self._network, load, only=scene):
            if step.frame not in painted:
                yield _light(step)


@dataclass(eq=False)
class _Actor:
    """An actor, and the scene that it paints."""

    handle: Any
    start: Any  # what tells that it is ready; None when it is
    scene: Scene | None = None
    steps: Any = None  # Ray's generator

    @staticmethod
    def of(handle: Any) -> _Actor:
        """Return one that was just started."""
        return _Actor(handle, handle.is_ready.remote())

    @property
    def is_free(self) -> bool:
        return self.start is None and self.scene is None

    @property
    def waited(self) -> Any:
        """Return what may have news; None where nothing is awaited."""
        return self.steps if self.start is None else self.start


@dataclass
class SceneCluster:
    """A cluster that paints the scenes of one film.

    Args:
        address: `auto`, `local`, or that of a cluster.
        jobs: number of actors; None for one on each GPU, or on each node where there are none.
        device: as on the command line.
        plan: of the film.

    Raises `MissingPackageError` without Ray, `ClusterError` where there is no such cluster, and
    `OSError` where the clip cannot be read.
    """

    address: str
    jobs: int | None
    device: str
    plan: FilmPlan
    _actors: list[_Actor] = field(default_factory=list)
    _waiting: deque[Scene] = field(default_factory=deque)
    _losses: dict[Scene, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clip = self.plan.clip.path.read_bytes()
        self._cluster = JoinedCluster(self.address)
        self._ray, nodes = self._cluster.ray, self._cluster.nodes
        n_actors, self._share = divide(nodes, self.jobs, uses_gpus=self.device in ("auto", "cuda"))
        plan, clip = self._ray.put(self.plan), self._ray.put(clip)
        self._starter = ActorStarter(
            self._ray, SceneActor, self._share, plan, clip, self.device, self._share.cpus
        )
        self._actors = [_Actor.of(self._starter.start()) for _ in range(n_actors)]

    def __enter__(self) -> SceneCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def kind_of_device(self) -> str:
        """Return what its actors compute on, as recipes have it."""
        return "cuda" if self._share.gpus else "cpu"

    def close(self) -> None:
        """End all actors, whatever they do, and leave the cluster."""
        self._cluster.leave(actor.handle for actor in self._actors)

    def paint(self, network: VGG, painted: Remembered) -> Iterator[FilmStep]:
        """Yield the steps of all scenes as they come, but for frames that were painted before.

        The caller keeps finished frames, so that `painted` has them: a scene whose actor is lost
        goes on from its last one. `network` is only asked for its device. Raises what
        `transfer_video` does, and `ClusterError` where there can be no actors.
        """
        began = time.monotonic()
        found = _SceneSearch(self.plan, network)
        while not (found.is_over and self._is_idle):
            self._waiting += found.take()
            self._hand_out(painted)
            for step in self._news():
                seconds = time.monotonic() - began
                yield replace(step, step=replace(step.step, elapsed=seconds))

    @property
    def _is_idle(self) -> bool:
        return not self._waiting and all(actor.scene is None for actor in self._actors)

    def _hand_out(self, painted: Remembered) -> None:
        for actor in [actor for actor in self._actors if actor.is_free]:
            while self._waiting and actor.is_free:
                scene = self._waiting.popleft()
                done = {
                    number: png_bytes(picture, compression=1)
                    for number in range(scene.start, scene.stop)
                    if (picture := painted(number))
                }
                if len(done) < scene.stop - scene.start:
                    paint = actor.handle.paint.options(num_returns="streaming")
                    actor.scene, actor.steps = scene, paint.remote(scene, done)

    def _news(self) -> Iterator[FilmStep]:
        """Yield what the actors have to tell, after `TICK` seconds at most."""
        self._cluster.head.check()
        waited = {id(each): actor for actor in self._actors if (each := actor.waited) is not None}
        if not waited:
            time.sleep(TICK)
            return
        things = [actor.waited for actor in waited.values()]
        ready, _ = self._ray.wait(things, num_returns=1, timeout=TICK)
        for each in ready:
            yield from self._news_of(waited[id(each)])

    def _news_of(self, actor: _Actor) -> Iterator[FilmStep]:
        """Yield what an actor has to tell; where it has died, start another in its place."""
        errors = self._ray.exceptions
        try:
            if actor.start is not None:
                self._ray.get(actor.start)
                actor.start = None
                self._starter.note_ready()
                return
            try:
                step = self._ray.get(next(actor.steps))
            except StopIteration:
                actor.scene = actor.steps = None
                return
        except errors.RayActorError as error:
            self._replace(actor, error)
        except errors.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise WorkerError(f"The cluster could not paint a scene: {first_line(error)}") from None
        except errors.RayError as error:
            raise ClusterError(f"The Ray cluster is lost: {first_line(error)}") from None
        else:
            yield step

    def _replace(self, lost: _Actor, error: Exception) -> None:
        other = self._starter.replace(lost.handle, error, was_ready=lost.start is None)
        self._actors[self._actors.index(lost)] = _Actor.of(other)
        if lost.scene is None:
            return
        self._losses[lost.scene] = self._losses.get(lost.scene, 0) + 1
        if self._losses[lost.scene] == MOST_LOSSES:
            raise WorkerError(
                f"The worker that painted a scene was lost {MOST_LOSSES} times"
                f" ({type(error).__name__}); memory may have run out."
            )
        self._waiting.appendleft(lost.scene)


class _SceneSearch:
    """Finds the scenes of a film in a thread of its own, while the first ones are painted."""

    def __init__(self, plan: FilmPlan, network: VGG) -> None:
        self._found: queue.SimpleQueue[Scene | BaseException | None] = queue.SimpleQueue()
        self.is_over = False
        search = threading.Thread(target=self._search, args=(plan, network), daemon=True)
        search.start()

    def take(self) -> Iterator[Scene]:
        """Yield the scenes that were found since. Raises what the search has raised."""
        while not self.is_over:
            try:
                found = self._found.get_nowait()
            except queue.Empty:
                return
            if isinstance(found, BaseException):
                raise found
            if found is None:
                self.is_over = True
            else:
                yield found

    def _search(self, plan: FilmPlan, network: VGG) -> None:
        try:
            for scene in plan.scenes(network):
                self._found.put(scene)
        except BaseException as error:
            self._found.put(error)
        else:
            self._found.put(None)


def _light(step: FilmStep) -> FilmStep:
    """Return a step without what only the painting process needs."""
    pixels = step.step.pixels.cpu() if step.is_finished else UNSEEN
    return replace(step, step=replace(step.step, pixels=pixels, state=None), filmed=None)


class SceneProgress:
    """Estimates the seconds that are left of a film whose scenes are painted at the same time.

    Args:
        frames: of the film; 0 where the clip does not say.
        store: has the frames that were painted before.
    """

    def __init__(self, frames: int, store: FrameStore) -> None:
        self._frames, self._before = frames, store.painted
        self.done = self._before

    def remaining(self, step: FilmStep) -> float | None:
        """Take the next step; return the seconds that are left, if that is known."""
        self.done += step.is_finished
        if self.done == self._before or not self._frames:
            return None
        pace = step.step.elapsed / (self.done - self._before)
        return pace * max(0, self._frames - self.done)
