"""Start the page as a user does, in a process of its own, and wait until it answers."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from helpers.places import ROOT, TESTS

START_SECONDS = 180  # a cold start on a busy machine

# What Gradio leaves of its event loops, when Python comes across it.
UNCLOSED = re.compile(
    r"Exception ignored in: <function BaseEventLoop\.__del__.*?Invalid file descriptor: -1\n", re.S
)


class Server:
    """A running `python app.py`: its address and its log so far."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self._lines: list[str] = []
        self._is_over = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def log(self) -> str:
        return "".join(self._lines)

    def trouble(self) -> str:
        """The log, if it tells of something that should not have happened; "" if not."""
        log = UNCLOSED.sub("", self.log())
        return log if "Traceback" in log or "ERROR" in log else ""

    def wait(self) -> None:
        self.wait_for("Running on local URL")

    def wait_for(self, text: str) -> None:
        """Until the log has this text."""
        with self._news:
            self._news.wait_for(lambda: text in self.log() or self._is_over, START_SECONDS)
        if text not in self.log():
            raise RuntimeError(f"the page did not say {text!r}:\n{self.log()}")

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
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()


@contextlib.contextmanager
def running_server(
    jobs: Path | None = None,
    *,
    port: int = 0,
    grace: float = 20.0,
    environment: Mapping[str, str] | None = None,
    plant: str = "",
) -> Iterator[Server]:
    """The page on a (free) port of this machine, ended when the block is left. `jobs` is the folder
    where it keeps pictures, `grace` the seconds that an unwatched job goes on. It knows no Hub, and
    nothing that was fetched before, unless the `environment` says so. `plant` is Python that its
    process runs first."""
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            **os.environ,
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(Path(folder) / "hub"),
            "NST_JOBS": str(jobs or Path(folder) / "jobs"),
            "GRADIO_TEMP_DIR": str(Path(folder) / "gradio"),
            "NST_GRACE": str(grace),
            "PYTHONUNBUFFERED": "1",
            **planted(Path(folder), plant),
            **(environment or {}),
        }
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=variables,
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


def planted(folder: Path, plant: str) -> dict[str, str]:
    """The environment in which a process runs `plant` before anything else; it is kept in `folder`.
    The helpers that it starts with less environment, such as the decoder's worker, do not."""
    if not plant:
        return {}
    paths = folder / "plant", TESTS, ROOT
    paths[0].mkdir(exist_ok=True)
    (paths[0] / "sitecustomize.py").write_text(
        "import os\nif os.environ.get('PLANTED'):\n    import planted\n"
    )
    (paths[0] / "planted.py").write_text(plant)
    return {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PLANTED": "yes"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
