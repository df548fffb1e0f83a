"""The line: who is next, how long until then, and who is turned away, in which words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nst.errors import BusyError
from nst.studio.limits import Limits
from nst.studio.queue import TaskQueue, in_minutes
from nst.studio.task import State, Task


class Waiting(Task):
    """A task with pictures of so many bytes."""

    def __init__(self, visitor: str, size: int = 0) -> None:
        super().__init__(visitor)
        self.size = size

    @property
    def bytes(self) -> int:
        return self.size

    def _pieces(self) -> Iterator[object]:
        yield None
        self._become(State.FINISHED)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock: set the only item."""
    now = [100.0]
    monkeypatch.setattr("nst.studio.queue.time.monotonic", lambda: now[0])
    return now


def order_of(queue: TaskQueue, clock: list[float]) -> list[Task]:
    """Everybody's turn, when each is painted as long as was expected."""
    order = []
    while task := queue.take():
        order.append(task)
        clock[0] += queue.painted[0].seconds
        queue.leave(task)
    return order


def test_first_come_first_served(clock: list[float]) -> None:
    queue = TaskQueue(Limits())
    tasks = [Waiting(name) for name in "abc"]
    for task in tasks:
        queue.join(task, 10.0)
    assert order_of(queue, clock) == tasks


def test_who_has_many_pictures_takes_turns_with_who_has_one(clock: list[float]) -> None:
    queue = TaskQueue(Limits())
    many = [Waiting("many") for _ in range(3)]
    for task in many:
        queue.join(task, 10.0)
    assert queue.take() is many[0]
    one, other = Waiting("one"), Waiting("other")
    for task in (one, other):
        clock[0] += 1.0
        queue.join(task, 10.0)
    queue.leave(many[0])
    assert order_of(queue, clock) == [one, other, many[1], many[2]]


def test_nobody_starves(clock: list[float]) -> None:
    """A visitor's second picture is painted although there is always somebody new."""
    queue = TaskQueue(Limits())
    first, second = Waiting("patient"), Waiting("patient")
    queue.join(first, 10.0)
    queue.join(second, 10.0)
    painted = []
    for number in range(10):
        queue.join(Waiting(f"new {number}"), 10.0)
        task = queue.take()
        assert task
        painted.append(task)
        clock[0] += 10.0
        queue.leave(task)
    assert second in painted[:4]


def test_nobody_gives_way_for_longer_than_the_limit(clock: list[float]) -> None:
    queue = TaskQueue(Limits(deference=100.0))
    tasks = [Waiting("patient"), Waiting("patient"), Waiting("new")]
    queue.join(tasks[0], 500.0)
    queue.join(tasks[1], 10.0)
    clock[0] += 101.0
    queue.join(tasks[2], 10.0)
    assert order_of(queue, clock) == tasks


def test_what_is_expected_can_change(clock: list[float]) -> None:
    queue = TaskQueue(Limits())
    tasks = [Waiting(name) for name in "abc"]
    for task in tasks:
        queue.join(task, 10.0)
    assert queue.take() is tasks[0]
    clock[0] += 4.0
    queue.expect(tasks[0], 60.0)
    queue.expect(tasks[1], 30.0)
    assert [queue.wait_of(task) for task in tasks[1:]] == [60.0, 90.0]


def test_with_several_painters_everybody_has_one_before_anybody_has_two() -> None:
    queue = TaskQueue(Limits(painters=4))
    tasks = [Waiting("jane"), Waiting("jane"), Waiting("ada")]
    for task in tasks:
        queue.join(task)  # nothing is known of how long they take
    assert [queue.take() for _ in tasks] == [tasks[0], tasks[2], tasks[1]]
    assert queue.take() is None


def test_the_wait_is_what_is_left_to_paint_before(clock: list[float]) -> None:
    queue = TaskQueue(Limits())
    tasks = [Waiting(name) for name in "abc"]
    for task, seconds in zip(tasks, (30.0, 20.0, 10.0), strict=True):
        queue.join(task, seconds)
    assert queue.take() is tasks[0]
    clock[0] += 12.0
    assert [queue.wait_of(task) for task in tasks] == [0.0, 18.0, 38.0]
    assert [queue.ahead_of(task) for task in tasks] == [0, 1, 2]
    assert len(queue) == 3
    clock[0] += 100.0  # it takes longer than expected
    assert queue.wait_of(tasks[1]) == 0.0
    tasks[1].stop()
    assert queue.ahead_of(tasks[2]) == 1


class Yielding(Waiting):
    """A task that lets others by every two seconds."""

    lets_others_by = True

    @property
    def piece_seconds(self) -> float:
        return 2.0


def test_who_lets_others_by_is_in_the_way_for_a_piece_alone(clock: list[float]) -> None:
    queue = TaskQueue(Limits(wait=60.0))
    film = Yielding("a")
    queue.join(film, 5000.0)
    assert queue.take() is film
    picture, another = Waiting("a"), Waiting("b")
    queue.join(picture, 10.0)
    assert queue.wait_of(picture) == 2.0
    queue.join(another, 10.0)
    assert queue.wait_of(another) == 2.0
    assert queue.wait_of(picture) == 12.0, "its visitor has a film already"
    assert queue.load.seconds == 5020.0


def test_few_that_let_others_by_are_begun_at_the_same_time(clock: list[float]) -> None:
    queue = TaskQueue(Limits(begun=1))
    films = [Yielding(name) for name in "ab"]
    for film in films:
        queue.join(film, 10.0)
    assert queue.take() is films[0]
    assert not queue.has_next
    assert queue.take() is None
    picture = Waiting("c")
    queue.join(picture, 1.0)
    assert queue.take() is picture
    queue.leave(films[0])
    assert queue.take() is films[1]


def test_several_painters_shorten_the_wait() -> None:
    queue = TaskQueue(Limits(painters=2))
    tasks = [Waiting(name) for name in "abc"]
    for task in tasks:
        queue.join(task, 30.0)
    assert queue.wait_of(tasks[2]) == 30.0


def test_a_full_line_says_when_there_will_be_room(clock: list[float]) -> None:
    queue = TaskQueue(Limits(waiting=1))
    queue.join(Waiting("a"), 300.0)
    queue.take()
    queue.join(Waiting("b"), 10.0)
    clock[0] += 30.0
    with pytest.raises(BusyError, match=r"already\. Please try again in about 5 minutes\.$"):
        queue.join(Waiting("c"), 10.0)
    clock[0] += 240.0
    with pytest.raises(BusyError, match=r"try again in about a minute\.$"):
        queue.join(Waiting("c"), 10.0)


def test_nobody_waits_longer_than_the_limit(clock: list[float]) -> None:
    queue = TaskQueue(Limits(wait=1000.0))
    queue.join(Waiting("a"), 900.0)
    queue.join(Waiting("b"), 700.0)  # who may wait 900 s
    sentence = r"The wait would be longer than 17 minutes now. .* again in about 10 minutes\.$"
    with pytest.raises(BusyError, match=sentence):
        queue.join(Waiting("c"), 1.0)
    assert queue.take()
    clock[0] += 601.0
    queue.join(Waiting("c"), 1.0)


def test_pictures_in_memory_are_bounded(clock: list[float]) -> None:
    queue = TaskQueue(Limits(pictures=1000))
    queue.join(Waiting("a", 5000), 120.0)  # alone it would never fit otherwise
    assert queue.take()
    with pytest.raises(BusyError, match=r"try again in about 2 minutes\.$"):
        queue.join(Waiting("b", 100))
    queue.leave(queue.painted[0].task)
    queue.join(Waiting("b", 600))
    with pytest.raises(BusyError):
        queue.join(Waiting("c", 600))
    queue.join(Waiting("c", 400))


def test_one_visitor_cannot_take_the_whole_line() -> None:
    queue = TaskQueue(Limits(waiting_of_one=2))
    for _ in range(2):
        queue.join(Waiting("greedy"))
    with pytest.raises(BusyError, match="Several of your pictures"):
        queue.join(Waiting("greedy"))
    queue.join(Waiting("other"))


def test_one_network_cannot_take_the_whole_line() -> None:
    """However many visitors it says there are; where nothing is known of networks, nobody is."""
    queue = TaskQueue(Limits(waiting_of_source=2))
    for number in range(2):
        queue.join(Waiting(f"mask {number}"), source="2001:db8::/64")
        queue.join(Waiting(f"anybody {number}"))
    with pytest.raises(BusyError, match="from your network"):
        queue.join(Waiting("mask 3"), source="2001:db8::/64")
    queue.join(Waiting("other"), source="198.51.100.7/32")
    queue.join(Waiting("anybody 3"))


def test_those_who_ended_take_no_room_and_are_put_away_first() -> None:
    queue = TaskQueue(Limits(waiting=2))
    kept, gone = Waiting("a"), Waiting("b")
    for task in (kept, gone):
        queue.join(task)
    gone.stop()
    assert gone not in queue
    assert kept in queue
    queue.check_room("c")
    assert queue.take() is gone
    gone, last = kept, Waiting("c")
    queue.join(last)
    gone.stop()
    assert queue.forget_ended() == [gone]
    assert queue.take() is last


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "a minute"), (60.0, "a minute"), (61.0, "2 minutes")]
)
def test_minutes(seconds: float, words: str) -> None:
    assert in_minutes(seconds) == words
