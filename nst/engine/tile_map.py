"""The interface of whatever evaluates the tiles of one picture: this process, or many workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from nst.errors import WorkerError

Value = TypeVar("Value")
Held = TypeVar("Held", covariant=True)
Result = TypeVar("Result")


class LostValueError(WorkerError):
    """A value that was kept by a worker which is lost."""


class Handle(Protocol[Held]):
    """A value that calls are given without sending it with each."""

    def get(self) -> Held:
        """Return the value, wherever the call is made."""


class TileMap(Protocol):
    """Makes the same call for many tiles, in any place and order.

    What is called is a function of a module, so that its name can be sent; it must depend on its
    arguments alone, as a call may be made again when a worker is lost.
    """

    device: str = "auto"
    """The device that each worker computes on, as `pick_device` there has it."""

    def share(self, value: Value, *, is_lasting: bool = False) -> Handle[Value]:
        """Return a handle of a value; each worker keeps one that `is_lasting`."""

    def map(
        self, work: Callable[..., Result], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[Result]:
        """Yield the results in the order of the calls, which are drawn as there is room for them.

        Call number i of each round goes to the same worker as long as all are there.
        """

    def keep(
        self,
        work: Callable[..., Sequence[Any]],
        calls: Iterable[tuple[Any, ...]],
        counts: Iterable[int],
    ) -> list[list[Handle[Any]]]:
        """Make calls as `map` does; return handles of the values, so many of each call.

        Values stay where they were made until their handles are gone. `Handle.get` raises
        `LostValueError`, as do calls that are given such a handle, when a machine is lost with what
        it kept.
        """


class OwnHandle(Generic[Value]):
    """A value of this process."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def get(self) -> Value:
        """Return the value."""
        return self._value
