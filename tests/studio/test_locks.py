"""Whoever looks at a job waits for no disk and no hash, however long those take.

What stalls waits for an event that is not set before every look has returned.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image

import nst.images.recipe
import nst.studio.job
import nst.studio.job_store
from helpers.painting import tone
from helpers.pictures import MakePicture
from nst.images.recipe import Ingredient
from nst.settings import TransferSettings
from nst.studio.job import Job
from nst.studio.job_store import Card
from nst.studio.keyed_locks import KeyedLocks
from nst.studio.limits import Limits
from nst.studio.workshop import Workshop
from page.panels.own_gallery import gallery_markup

pytestmark = pytest.mark.slow


SMALL = TransferSettings(size=64, iterations=3)
PATIENCE = 20.0  # seconds until a look that never returns fails the test
ALWAYS = Limits(checkpoint_every=-1.0)  # a checkpoint at every iteration

Value = TypeVar("Value")


class Stall:
    """A function that waits until it is let go on; `reached` tells that somebody waits."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real = real
        self.reached, self.over = threading.Event(), threading.Event()

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.reached.set()
        self.over.wait()
        return self.real(*args, **options)

    def wait(self) -> None:
        assert self.reached.wait(PATIENCE)


@pytest.fixture
def stall(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any, str], Stall]]:
    """`stall(module, name)` makes a function wait until the test ends."""
    stalls: list[Stall] = []

    def make(module: Any, name: str) -> Stall:
        stalls.append(Stall(getattr(module, name)))
        monkeypatch.setattr(module, name, stalls[-1])
        return stalls[-1]

    yield make
    monkeypatch.undo()
    for each in stalls:
        each.over.set()


MakeStall = Callable[[Any, str], Stall]


def promptly(look: Callable[[], Value]) -> Value:
    """What `look` returns, which it must while everything stalls."""
    results: list[Value] = []
    thread = threading.Thread(target=lambda: results.append(look()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert results, "the look waits for something that stalls"
    return results[0]


def look_at(workshop: Workshop, job: Job) -> None:
    """All that the page's refresh asks of a live job."""
    assert promptly(lambda: workshop.find_job(job.id)) is job
    assert promptly(job.recipe).content == Ingredient(*facts(job.content))
    assert promptly(lambda: Card.of(job)).id == job.id
    assert promptly(lambda: workshop.cards("jane"))[0].id == job.id
    assert promptly(lambda: gallery_markup(workshop.cards("jane"), 3600))
    assert promptly(lambda: workshop.ahead_of(job)) >= 0
    assert promptly(lambda: workshop.wait_of(job)) >= 0
    assert promptly(lambda: job.settings).size == 64
    assert promptly(lambda: job.bytes) > 0
    assert promptly(lambda: len(job.course)) >= 1
    promptly(lambda: workshop.greet(job.owner))
    promptly(lambda: workshop.check_room(job.owner))


def facts(image: Image.Image) -> tuple[str, int, int]:
    known = Ingredient.of(image)
    return known.sha256, known.width, known.height


@pytest.fixture
def make_job(make_picture: MakePicture) -> Callable[..., Job]:
    def make(visitor: str = "jane") -> Job:
        return Job(
            make_picture(80, 60), [make_picture(50, 70)], SMALL, visitor=visitor, engine=tone
        )

    return make


def test_looks_do_not_wait_for_a_checkpoint(
    tmp_path: Path, make_job: Callable[..., Job], stall: MakeStall
) -> None:
    """The file system takes no byte; other jobs can be asked for, opened and deleted too."""
    workshop = Workshop(tmp_path, ALWAYS)
    kept, unwanted = make_job("joe"), make_job("joe")
    for other in (kept, unwanted):
        workshop.save(other)
    stalled = stall(nst.studio.job_store, "write_record")
    job = make_job()
    workshop.submit(job)
    stalled.wait()
    look_at(workshop, job)
    found = promptly(lambda: workshop.find_job(kept.id))
    assert found
    assert found.content.tobytes() == kept.content.tobytes()
    promptly(lambda: workshop.forget(unwanted.id))
    assert [card.id for card in promptly(lambda: workshop.cards("joe"))] == [kept.id]
    second = make_job()
    promptly(lambda: workshop.submit(second))
    assert promptly(lambda: workshop.find_job(second.id)) is second
    promptly(job.stop)
    assert not stalled.over.is_set()


def test_looks_do_not_wait_for_a_sweep(
    tmp_path: Path, make_job: Callable[..., Job], stall: MakeStall
) -> None:
    workshop = Workshop(tmp_path, Limits(kept=-1.0))
    old, kept = make_job("joe"), make_job("joe")
    workshop.save(old)
    stalled = stall(shutil, "rmtree")
    sweep = threading.Thread(target=workshop.sweep, daemon=True)
    sweep.start()
    stalled.wait()
    promptly(lambda: workshop.save(kept))
    assert promptly(lambda: workshop.find_job(kept.id))
    job = make_job()
    promptly(lambda: workshop.submit(job))
    look_at(workshop, job)
    assert sweep.is_alive()
    stalled.over.set()
    sweep.join(PATIENCE)
    assert workshop.find_job(old.id) is None


def test_looks_do_not_wait_for_a_hash(
    make_job: Callable[..., Job], make_picture: MakePicture, stall: MakeStall
) -> None:
    """Another painting, of so many pixels that its hash takes a while."""
    workshop, job = Workshop(limits=Limits(painters=0)), make_job()
    workshop.submit(job)
    expected = job.recipe()
    stalled = stall(nst.images.recipe, "hash_of")
    other = make_picture(33, 44, seed=5)
    swap = threading.Thread(target=lambda: job.steer(SMALL, other), daemon=True)
    swap.start()
    stalled.wait()
    assert promptly(job.recipe) == expected
    assert promptly(lambda: Card.of(job)).id == job.id
    assert promptly(lambda: workshop.find_job(job.id)) is job
    assert promptly(lambda: job.copy("another").recipe()) == expected
    promptly(lambda: job.steer(SMALL.replace(beta=2.0)))
    assert promptly(lambda: job.settings).beta == 2.0
    assert swap.is_alive()
    stalled.over.set()
    swap.join(PATIENCE)
    list(job.run())
    assert len(job.recipe().styles) == 2


def test_a_new_job_is_hashed_before_anybody_can_see_it(
    make_job: Callable[..., Job], stall: MakeStall
) -> None:
    job = make_job()
    stall(nst.images.recipe, "hash_of")
    recipe = promptly(job.recipe)
    assert len(recipe.content.sha256) == len(recipe.styles[0].sha256) == 64


def test_a_job_found_on_disk_is_loaded_once(
    tmp_path: Path, make_job: Callable[..., Job], stall: MakeStall
) -> None:
    """Two who ask at once have the same job, not twins that are painted each for itself."""
    Workshop(tmp_path).save(job := make_job())
    workshop, found = Workshop(tmp_path), list[Job | None]()
    stalled = stall(nst.studio.job_store, "parse_record")
    threads = [
        threading.Thread(target=lambda: found.append(workshop.find_job(job.id)), daemon=True)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    stalled.wait()
    stalled.over.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(found) == 3
    assert found[0] is not None
    assert found[0] is found[1] is found[2]


def test_locks_by_key_are_kept_only_while_they_are_used() -> None:
    locks, order = KeyedLocks(), list[str]()
    with locks.held("a"), locks.held("a"):  # reentrant
        other = threading.Thread(target=hold, args=(locks, "b", order), daemon=True)
        same = threading.Thread(target=hold, args=(locks, "a", order), daemon=True)
        other.start()
        other.join(PATIENCE)
        same.start()
        assert order == ["b"]
        order.append("first")
    same.join(PATIENCE)
    assert order == ["b", "first", "a"]
    assert len(locks) == 0


def hold(locks: KeyedLocks, key: str, order: list[str]) -> None:
    with locks.held(key):
        order.append(key)
