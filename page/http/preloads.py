"""The files of Gradio's that the page will load, found in those files before anybody visits.

A browser would find them one after another: the entry imports the page's frame, that one the map of
components, and that one the components that the page has. Where another version of Gradio is built
otherwise, fewer are found or none, and the browser finds the rest as before.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradio.route_utils import BUILD_PATH_LIB

from page.http.style_bundle import StyleBundle

log = logging.getLogger(__name__)

INDEX = Path(BUILD_PATH_LIB).parent / "index.html"
FRAME = "Blocks"  # the chunk that shows a page; the other that the entry may load is the sign-in
PICTURES = ("image", "gallery", "imageslider")  # fetch pictures as soon as they have loaded
MOST_CHUNKS = 200  # more than any page needs: something was misread

ENTRY = re.compile(r'<script\b[^>]*\bsrc="\./assets/([\w.-]+\.js)"')
ENTRY_STYLE = re.compile(r'<link\b[^>]*\bhref="\./assets/([\w.-]+\.css)"')
DEPENDENCIES = re.compile(r"\bm\.f=\[([^\]]*)\]")  # of the chunks that a chunk imports later
NAME = re.compile(r'"\./([\w.-]+\.(?:js|css))"')
STATIC_IMPORT = re.compile(r"""\b(?:from|import)["'`]\./([\w.-]+\.js)["'`]""")
LATER_IMPORT = re.compile(
    r"""import\(["'`]\./([\w.-]+\.js)["'`]\)"""
    r"(?:(?!import\().){0,120}?__vite__mapDeps\(\[([\d,]*)\]\)",
    re.DOTALL,
)
COMPONENT = r"[{{,]{}:\{{(?:(?!component:)[^{{}}]){{0,600}}component:\(\)=>\w+\(\(\)=>"

Import = tuple[str, list[str]]  # a chunk, and what must be there before it runs


@dataclass
class Chunk:
    """What a file of JavaScript imports: at once, and later."""

    code: str
    imports: list[str] = field(default_factory=list)
    dependencies: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Chunk:
        """Read a chunk. Raises `OSError` where there is none."""
        code = path.read_text(encoding="utf-8")
        listed = DEPENDENCIES.search(code)
        return cls(code, STATIC_IMPORT.findall(code), NAME.findall(listed[1]) if listed else [])

    def later(self) -> Iterator[Import]:
        """Return what is imported later."""
        return map(self._import, LATER_IMPORT.finditer(self.code))

    def component(self, name: str) -> Iterator[Import]:
        """Return what shows a component of this type, if this chunk is the map of them."""
        place = re.search(COMPONENT.format(re.escape(name)), self.code, re.DOTALL)
        if place and (found := LATER_IMPORT.match(self.code, place.end())):
            yield self._import(found)

    def _import(self, found: re.Match[str]) -> Import:
        numbers = [int(number) for number in found[2].split(",") if number]
        known = [self.dependencies[n] for n in numbers if n < len(self.dependencies)]
        return found[1], known


class PageFiles:
    """Collects the files of a page, in the order in which they are needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, None] = {}
        self._chunks: dict[str, Chunk] = {}

    def add(self, name: str, dependencies: Iterable[str] = ()) -> Chunk | None:
        """Add a chunk with all that it imports, and the styles among its dependencies."""
        for style in dependencies:
            if style.endswith(".css") and (self.folder / style).is_file():
                self.names.setdefault(style)
        return self._add_script(name)

    def _add_script(self, name: str) -> Chunk | None:
        if name not in self._chunks and (self.folder / name).is_file():
            self.names.setdefault(name)
            chunk = self._chunks[name] = Chunk.read(self.folder / name)
            for imported in chunk.imports:
                self._add_script(imported)
        return self._chunks.get(name)


def page_files(config: dict[str, Any], folder: Path, index: Path) -> list[str]:
    """Return the names of the scripts and styles that a page with this config loads.

    `index` is the page that begins with the first of them, whose styles are left out: it links to
    them itself. Raises `OSError` where a file is not there.
    """
    files = PageFiles(folder)
    entries = ENTRY.findall(index.read_text(encoding="utf-8"))
    scripts = [chunk for name in entries if (chunk := files.add(name))]
    frames = [chunk for script in scripts for chunk in add_all(files, script.later())]
    for chunk in frames:
        add_all(files, (each for each in chunk.later() if each[0].startswith(FRAME)))
    for chunk in frames:
        for kind in shown_types(config):
            add_all(files, chunk.component(kind))
    linked = ENTRY_STYLE.findall(index.read_text(encoding="utf-8"))
    return [name for name in files.names if name not in linked]


def shown_types(config: dict[str, Any]) -> list[str]:
    """Return the types of components that a page loads; what is not visible waits until it is.

    Those that fetch pictures come last: the line is needed for the others.
    """
    shown = [each for each in config["components"] if each["props"].get("visible") is not False]
    kinds = dict.fromkeys(str(component["type"]) for component in shown)
    return sorted(kinds, key=lambda kind: kind in PICTURES)


def add_all(files: PageFiles, imports: Iterable[Import]) -> list[Chunk]:
    """Add chunks that are imported later; those without dependencies are no part of the page."""
    added = [files.add(name, dependencies) for name, dependencies in imports if dependencies]
    return [chunk for chunk in added if chunk]


def find_page_files(
    config: dict[str, Any], folder: Path = Path(BUILD_PATH_LIB), index: Path = INDEX
) -> list[str]:
    """Return the names of what the page will load; none where Gradio's files cannot be read."""
    try:
        found = page_files(config, folder, index)
    except (OSError, ValueError, KeyError) as error:
        log.info("nothing is preloaded: %s", error)
        return []
    return found if len(found) <= MOST_CHUNKS else []


def early_links(names: Iterable[str], bundle: StyleBundle) -> str:
    """Return the links by which a browser fetches Gradio's files before it has found them."""
    links = list[str]()
    for name in names:
        if name.endswith(".js"):
            links.append(f'<link rel="modulepreload" crossorigin href="./assets/{quote(name)}">')
        elif name not in bundle.names:
            links.append(
                '<link rel="preload" as="style" fetchpriority="low" crossorigin'
                f' href="./assets/{quote(name)}">'
            )
    return "\n".join(links)
