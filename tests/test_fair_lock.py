"""The lock that clients share: who has it next, and who gets no place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nst.fair_lock import FairLock

PATIENCE = 30.0  # seconds until a test that hangs fails


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Crowd:
    """Threads that want a lock, each in its turn of asking."""

    def __init__(self, lock: FairLock) -> None:
        self.lock = lock
        self.served: list[str] = []
        self.threads: list[threading.Thread] = []

    def ask(self, client: str) -> None:
        """Wait for the lock in a thread of its own; returns when it waits."""
        before = self.lock.waiting

        def hold() -> None:
            assert self.lock.acquire(client, PATIENCE)
            self.served.append(client)
            self.lock.release()

        self.threads.append(threading.Thread(target=hold))
        self.threads[-1].start()
        until(lambda: self.lock.waiting > before)

    def wait(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_a_newcomer_waits_for_one_turn_of_a_client_with_many() -> None:
    now = [0.0]
    lock = FairLock(clock=lambda: now[0])
    crowd = Crowd(lock)
    assert lock.acquire("many")
    for client in ("many", "many", "many", "new"):
        crowd.ask(client)
    now[0] = 1.0  # second
    lock.release()
    crowd.wait()
    assert crowd.served == ["new", "many", "many", "many"]


def test_equals_are_served_in_the_order_in_which_they_came() -> None:
    lock = FairLock()
    crowd = Crowd(lock)
    assert lock.acquire("before")
    for client in ("a", "b", "c"):
        crowd.ask(client)
    lock.release()
    crowd.wait()
    assert crowd.served == ["a", "b", "c"]


def test_a_client_has_so_many_places_and_no_more() -> None:
    lock = FairLock(of_one=2)
    crowd = Crowd(lock)
    assert lock.acquire("other")
    crowd.ask("many")
    crowd.ask("many")
    refused: list[bool] = []
    asking = threading.Thread(target=lambda: refused.append(not lock.acquire("many", PATIENCE)))
    asking.start()
    asking.join(PATIENCE)  # at once, while the lock is held
    assert refused == [True]
    crowd.ask("another")
    lock.release()
    crowd.wait()
    assert len(crowd.served) == 3


def test_waiting_has_an_end_and_leaves_no_place() -> None:
    lock = FairLock()
    assert lock.acquire("other")
    came: list[bool] = []
    thread = threading.Thread(target=lambda: came.append(lock.acquire("late", 0.01)))
    thread.start()
    thread.join(PATIENCE)
    assert came == [False]
    lock.release()
    assert lock.acquire("next", 0)
    lock.release()


def test_a_thread_may_take_it_again() -> None:
    lock = FairLock()
    crowd = Crowd(lock)
    assert lock.acquire("a")
    assert lock.acquire("a")
    crowd.ask("b")
    lock.release()
    assert crowd.served == []
    lock.release()
    crowd.wait()
    assert crowd.served == ["b"]
