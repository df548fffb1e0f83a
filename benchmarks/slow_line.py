"""How soon the page can be used over a slow line: `python -m benchmarks.slow_line`.

Needs Chromium. A new visitor opens the page over 400 kbit/s with 400 ms of latency, as Chromium
emulates them. Told are the seconds until the page's words are there and until Stylize can be
clicked, the bytes and requests up to that moment, what each kind of file costs, what was fetched
twice, and what the browser warned of. The second visit of the same visitor, whose browser has kept
what it may, follows.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, CDPSession, sync_playwright

from benchmarks.served import CHROMIUM_FLAGS, running_server
from nst.console import run_command

BYTES_A_SECOND = 50 * 1024
LATENCY = 400  # milliseconds
LONG = 180_000  # milliseconds
READY = """() => [...document.querySelectorAll("button")].some(
    (button) => button.innerText.trim() === "Stylize" && !button.disabled
        && button.getClientRects().length)"""


@dataclass
class Loaded:
    """One file that the browser has fetched."""

    path: str
    kind: str
    begun: float  # seconds from the navigation
    ended: float = 0.0
    bytes: int = 0  # as they came over the line, with their head
    size: int = 0  # unpacked
    encoding: str = ""
    is_kept: bool = False  # it came from the browser's cache


@dataclass
class Opening:
    """What happened from the navigation until the page could be used."""

    first_words: float = 0.0  # seconds
    usable: float = 0.0
    files: dict[str, Loaded] = field(default_factory=dict)  # by the browser's id of the request
    warnings: list[str] = field(default_factory=list)

    def fetched(self) -> list[Loaded]:
        """What came over the line before the page could be used, in its order."""
        came = [f for f in self.files.values() if not f.is_kept and f.begun <= self.usable]
        return sorted(came, key=lambda each: each.begun)

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.fetched())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--url", help="a page that is served already (default: one of our own)")
    parser.add_argument("--repeats", type=int, default=3, help="of each visit (default: 3)")
    parser.add_argument("--files", action="store_true", help="list every file, in its order")
    options = parser.parse_args()
    with served(options.url) as url, a_browser() as browser:
        open_once(browser, url)  # what the server makes on first request is not the line's
        first, second = [], []
        for _ in range(options.repeats):
            with closing_context(browser) as context:
                first.append(open_page(context, url))
                second.append(open_page(context, url))
        report("first visit", first, with_files=options.files)
        report("second visit", second, with_files=options.files)


@contextmanager
def served(url: str | None) -> Iterator[str]:
    """The address of a page; of one that is started for this, without one."""
    if url:
        yield url
        return
    with running_server() as server:
        yield server.url


@contextmanager
def a_browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@contextmanager
def closing_context(browser: Browser) -> Iterator[BrowserContext]:
    """A new visitor."""
    context = browser.new_context()
    yield context
    context.close()


def open_once(browser: Browser, url: str) -> None:
    with closing_context(browser) as context:
        page = context.new_page()
        page.goto(url)
        page.wait_for_function(READY, timeout=LONG)


def open_page(context: BrowserContext, url: str) -> Opening:
    """Open the page in a new tab over the slow line."""
    page = context.new_page()
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    line.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": LATENCY,
            "downloadThroughput": BYTES_A_SECOND,
            "uploadThroughput": BYTES_A_SECOND,
        },
    )
    opening = Opening()
    Recorder(line, opening)
    page.on("console", lambda message: note_warning(opening, message.type, message.text))
    began = time.perf_counter()
    page.goto(url, wait_until="commit", timeout=LONG)
    page.wait_for_function("document.body?.innerText.trim().length > 20", timeout=LONG)
    opening.first_words = time.perf_counter() - began
    page.wait_for_function(READY, timeout=LONG)
    opening.usable = time.perf_counter() - began
    page.wait_for_timeout(6000)  # unused preloads are told some seconds after the page has loaded
    page.close()
    return opening


class Recorder:
    """Writes down what the browser fetches, as its debugging protocol tells."""

    def __init__(self, line: CDPSession, opening: Opening) -> None:
        self.files = opening.files
        self.began: float | None = None
        line.on("Network.requestWillBeSent", self.begin)
        line.on("Network.responseReceived", self.answer)
        line.on("Network.requestServedFromCache", self.keep)
        line.on("Network.dataReceived", self.receive)
        line.on("Network.loadingFinished", self.end)

    def since(self, event: dict[str, Any]) -> float:
        """Seconds from the first request."""
        if self.began is None:
            self.began = event["timestamp"]
        return float(event["timestamp"] - self.began)

    def of(self, event: dict[str, Any]) -> Loaded:
        """The file of an event; a new one for what is not fetched over the line."""
        return self.files.get(event["requestId"]) or Loaded("", "", 0.0)

    def begin(self, event: dict[str, Any]) -> None:
        address = urlsplit(event["request"]["url"])
        if address.scheme.startswith("http"):
            file = Loaded(address.path, event.get("type", ""), self.since(event))
            self.files[event["requestId"]] = file

    def answer(self, event: dict[str, Any]) -> None:
        headers = {name.lower(): text for name, text in event["response"]["headers"].items()}
        self.of(event).encoding = headers.get("content-encoding", "")
        self.of(event).is_kept |= event["response"].get("fromDiskCache", False)

    def keep(self, event: dict[str, Any]) -> None:
        self.of(event).is_kept = True

    def receive(self, event: dict[str, Any]) -> None:
        self.of(event).size += event["dataLength"]

    def end(self, event: dict[str, Any]) -> None:
        file = self.of(event)
        file.ended, file.bytes = self.since(event), int(event["encodedDataLength"])


def note_warning(opening: Opening, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        opening.warnings.append(text)


def report(name: str, openings: list[Opening], *, with_files: bool) -> None:
    """Print what is told of a visit: medians, and the files of the last one."""
    times = [opening.usable for opening in openings]
    usable, words = (statistics.median(each) for each in (times, [o.first_words for o in openings]))
    last = openings[-1]
    files = last.fetched()
    print(
        f"{name}: usable after {usable:.1f} s ({min(times):.1f} to {max(times):.1f}), first words"
        f" after {words:.1f} s, {len(files)} requests, {last.bytes / 1024:.0f} KiB"
    )
    groups: defaultdict[str, list[Loaded]] = defaultdict(list)
    for file in files:
        groups[f"{file.kind or 'Other'} {file.encoding or 'as it is'}"].append(file)
    for group, members in sorted(groups.items(), key=lambda each: -sum(f.bytes for f in each[1])):
        sent, size = sum(f.bytes for f in members), sum(f.size for f in members)
        print(f"  {group:24} {len(members):4} {sent / 1024:8.1f} KiB {size / 1024:8.1f} unpacked")
    for path, count in Counter(file.path for file in files).items():
        if count > 1:
            print(f"  {count} times: {path}")
    for warning in dict.fromkeys(last.warnings):
        print(f"  {warning[:200]}")
    for file in files if with_files else ():
        print(f"  {file.begun:6.2f} {file.ended:6.2f} {file.bytes:8} {file.size:8} {file.path}")


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.slow_line"))
