"""A worker process of a batch on this machine: requests come through a pipe, events go back.

It ends as soon as the other end of its pipe is closed, also when its parent was killed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from multiprocessing.connection import Connection

import torch

from nst.batch.messages import AT_ONCE, READY, PaintRequest
from nst.batch.painter import Painter
from nst.errors import UserError


def serve(connection: Connection, device: str, index: int, jobs: int) -> None:
    """Paint requests until the pipe is closed: the worker's whole life.

    Args:
        connection: sends `PaintRequest`s; takes `READY`, and then events, or the `UserError` for
            which none can be painted.
        device: as on the command line.
        index: of this worker, from 0.
        jobs: number of workers, who divide the threads of this machine.
    """
    torch.set_num_threads(share_of(torch.get_num_threads(), index, jobs))
    requests: queue.SimpleQueue[PaintRequest] = queue.SimpleQueue()
    try:
        painter = Painter(device)
    except UserError as error:  # every worker would say the same
        connection.send(error)
        return
    sending = threading.Lock()
    connection.send(READY)

    def work() -> None:
        with contextlib.suppress(OSError):  # the other end is closed, and this process ends
            while True:
                for event in painter.run_next(requests.get):
                    with sending:
                        connection.send(event)

    for _ in range(AT_ONCE):
        threading.Thread(target=work, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            requests.put(connection.recv())
    os._exit(0)  # at once, in the middle of an iteration


def share_of(threads: int, index: int, jobs: int) -> int:
    """Return how many of so many threads a worker has, at least one."""
    return max(1, threads // jobs + (index < threads % jobs))
