"""Start Firefox or WebKit, the engine of Safari, for the tests that drive them with Selenium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from selenium.webdriver import WebKitGTK
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.remote.file_detector import UselessFileDetector
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.webkitgtk.options import Options as WebKitGTKOptions
from selenium.webdriver.webkitgtk.service import Service

from helpers.marionette import MarionetteConnection
from helpers.waiting import until

StartBrowser = Callable[[], AbstractContextManager[WebDriver]]

SCREEN = "1400x1100x24"
# A window may be as narrow as a phone.
FIREFOX_STYLE = ":root { min-width: 0 !important; }"
GTK_STYLE = "button, entry { min-width: 0; padding: 0; border: none; }"
PREFERENCES = """
user_pref("marionette.port", 0);
user_pref("toolkit.legacyUserProfileCustomizations.stylesheets", true);
"""


@contextmanager
def firefox() -> Iterator[WebDriver]:
    """Start Firefox without a screen, with a profile of its own."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    assert program, "these tests need Firefox: apt-get install firefox-esr"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile = Path(folder)
        (profile / "user.js").write_text(PREFERENCES)
        (profile / "chrome").mkdir()
        (profile / "chrome" / "userChrome.css").write_text(FIREFOX_STYLE)
        with started([program, "--headless", "--marionette", "--no-remote", "--profile", folder]):
            port = profile / "MarionetteActivePort"
            until(lambda: port.exists() and port.read_text(), "Firefox's port")
            with WebDriver(
                MarionetteConnection(int(port.read_text())),
                options=FirefoxOptions(),
                file_detector=UselessFileDetector(),
            ) as driver:
                yield driver


class FirefoxOptions(ArgOptions):
    """What is asked of a session in Firefox: nothing."""

    @property
    def default_capabilities(self) -> dict[str, str]:
        return {}


@contextmanager
def webkit() -> Iterator[WebDriver]:
    """Start WebKitGTK's small browser on a screen that nobody sees."""
    program = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)
    assert program, "these tests need WebKit: apt-get install webkit2gtk-driver xvfb"
    options = WebKitGTKOptions()
    options.binary_location = str(program)
    options.add_argument("--automation")
    with tempfile.TemporaryDirectory() as folder, screen() as display:
        style = Path(folder) / "gtk-3.0" / "gtk.css"
        style.parent.mkdir()
        style.write_text(GTK_STYLE)
        environment = {**os.environ, "DISPLAY": display, "XDG_CONFIG_HOME": folder}
        with WebKitGTK(options, Service(env=environment)) as driver:
            driver.file_detector = UselessFileDetector()
            yield driver


@contextmanager
def screen() -> Iterator[str]:
    """Start an X server; yield the name of its display."""
    reading, writing = os.pipe()
    words = ["Xvfb", "-displayfd", str(writing), "-screen", "0", SCREEN, "-nolisten", "tcp"]
    with open(reading) as number, started(words, passed=writing):
        os.close(writing)
        yield f":{number.readline().strip()}"


@contextmanager
def started(words: list[str], *, passed: int | None = None) -> Iterator[None]:
    """Run a program until the block is left, or it has ended by itself."""
    process = subprocess.Popen(
        words,
        pass_fds=[passed] if passed else [],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


BROWSERS: Mapping[str, StartBrowser] = {"firefox": firefox, "webkit": webkit}
