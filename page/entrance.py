"""Where jobs come in: what a run may cost here, how many pictures are open at once, and from which
network a request comes.

Knows requests and the workshop's limits; nothing of components.
"""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import gradio as gr
from PIL import Image

from nst import TransferSettings, zerogpu
from nst.decoder import BUSY, PATIENCE
from nst.forecast import Forecast
from nst.jobs import Task
from nst.line import BusyError
from nst.transfer import Moment, load_network
from nst.workshop import Workshop


@dataclass(frozen=True)
class Entrance:
    """The way into a workshop."""

    workshop: Workshop
    _door: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def opened(self, settings: TransferSettings) -> Iterator[None]:
        """Alone with pictures that the workshop has not made room for yet: a crowd that sends the
        largest there are would fill the memory before anybody is turned away. Raises `BusyError`.
        """
        if not zerogpu.is_here():
            load_network(settings)  # now: for what has to be fetched nobody else should wait
        if not self._door.acquire(timeout=PATIENCE):
            raise BusyError(BUSY)
        try:
            yield
        finally:
            self._door.release()

    def expected(
        self,
        photo: Image.Image,
        paintings: Sequence[Image.Image],
        settings: TransferSettings,
        begin: Moment | None = None,
    ) -> Forecast:
        """What a run will need. Raises `TooLargeError` when that is more than there is."""
        sizes = [painting.size for painting in paintings]
        most = self.workshop.limits.seconds
        return zerogpu.admit(photo.size, sizes, settings, begin, seconds=most)

    def submit(self, task: Task, seconds: float, request: gr.Request) -> None:
        """Put a task in line. Raises `BusyError`."""
        self.workshop.submit(task, seconds, source_of(request))


def source_of(request: gr.Request) -> str:
    """The network that a request comes from, or "" where the address tells nothing: that of a proxy
    in front of the page is everybody's. IPv6 gives each customer a whole /64."""
    try:
        address = ipaddress.ip_address(request.client.host)
        address = getattr(address, "ipv4_mapped", None) or address
    except (AttributeError, ValueError):
        return ""
    if not address.is_global:
        return ""
    return str(ipaddress.ip_network((address, 64 if address.version == 6 else 32), strict=False))
