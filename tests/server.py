"""Start the page as a user does, in a process of its own, and wait until it answers."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

START_SECONDS = 180  # a cold start on a busy machine


class Server:
    """A running `python app.py`: its address and its log so far."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self._lines: list[str] = []
        self._started: queue.Queue[bool] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def log(self) -> str:
        return "".join(self._lines)

    def wait(self) -> None:
        if not self._started.get(timeout=START_SECONDS):
            raise RuntimeError(f"the page did not start:\n{self.log()}")

    def kill(self) -> None:
        """As a crash or the lack of memory would: no chance to tidy up."""
        self.process.kill()
        self.process.wait(timeout=30)
        self._reader.join(timeout=30)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(timeout=30)

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self._lines.append(line)
                if "Running on local URL" in line:
                    self._started.put(True)
        self._started.put(False)


@contextlib.contextmanager
def running_server(
    jobs: Path | None = None, *, port: int = 0, grace: float = 5.0
) -> Iterator[Server]:
    """The page on a (free) port of this machine, ended when the block is left. `jobs` is the folder
    where it keeps pictures, `grace` the seconds that an unwatched job goes on."""
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
            "NST_JOBS": str(jobs or Path(folder) / "jobs"),
            "GRADIO_TEMP_DIR": str(Path(folder) / "gradio"),
            "NST_GRACE": str(grace),
            "PYTHONUNBUFFERED": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=Path(__file__).parent.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        server = Server(process, f"http://127.0.0.1:{port}")
        try:
            server.wait()
            yield server
        finally:
            server.end()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
