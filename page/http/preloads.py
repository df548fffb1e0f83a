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

from gradio.route_utils import BUILD_PATH_LIB

log = logging.getLogger(__name__)

INDEX = Path(BUILD_PATH_LIB).parent / "index.html"
FRAME = "Blocks"  # the chunk that shows a page; the other that the entry may load is the sign-in
MOST_CHUNKS = 200  # more than any page needs: something was misread

ENTRY = re.compile(r'<(?:script|link)\b[^>]*\b(?:src|href)="\./assets/([\w.-]+\.(?:js|css))"')
DEPENDENCIES = re.compile(r"\bm\.f=\[([^\]]*)\]")  # of the chunks that a chunk imports later
NAME = re.compile(r'"\./([\w.-]+\.(?:js|css))"')
STATIC_IMPORT = re.compile(r'\b(?:from|import)"\./([\w.-]+\.js)"')
LATER_IMPORT = re.compile(
    r"import\(`\./([\w.-]+\.js)`\)(?:(?!import\().){0,120}?__vite__mapDeps\(\[([\d,]*)\]\)", re.S
)
COMPONENT = r"[{{,]{}:\{{(?:(?!component:)[^{{}}]){{0,600}}component:\(\)=>\w+\(\(\)=>"


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

    def later(self, begin: int = 0) -> Iterator[tuple[str, list[str]]]:
        """Return what is imported later from a point of the code on, each with its dependencies."""
        for found in LATER_IMPORT.finditer(self.code, begin):
            numbers = [int(number) for number in found[2].split(",") if number]
            known = [self.dependencies[n] for n in numbers if n < len(self.dependencies)]
            yield found[1], known

    def component(self, name: str) -> Iterator[tuple[str, list[str]]]:
        """Return the chunk of a component, with its dependencies, if this is the map of them."""
        if found := re.search(COMPONENT.format(re.escape(name)), self.code, re.S):
            yield next(self.later(found.end()), ("", []))


class PageFiles:
    """Collects the files of a page, in the order in which they are needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, None] = {}
        self._chunks: dict[str, Chunk] = {}

    def add(self, name: str, dependencies: Iterable[str] = ()) -> Chunk | None:
        """Add a chunk with all that it imports, and the styles among its dependencies."""
        styles = [each for each in dependencies if each.endswith(".css")]
        for style in styles:
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
    """Return the names of the chunks and styles that a page with this config loads.

    `index` is the page that begins with them. Raises `OSError` where a file is not there.
    """
    files = PageFiles(folder)
    entries = ENTRY.findall(index.read_text(encoding="utf-8"))
    for name in entries:
        files.names.setdefault(name)
    scripts = [chunk for name in entries if name.endswith(".js") and (chunk := files.add(name))]
    frames = [chunk for script in scripts for chunk in add_all(files, script.later())]
    for chunk in frames:
        add_all(files, (each for each in chunk.later() if each[0].startswith(FRAME)))
    for chunk in frames:
        for kind in shown_types(config):
            add_all(files, chunk.component(kind))
    return list(files.names)


def shown_types(config: dict[str, Any]) -> list[str]:
    """Return the types of components that a page loads; what is not visible waits until it is."""
    shown = [each for each in config["components"] if each["props"].get("visible") is not False]
    return list(dict.fromkeys(str(component["type"]) for component in shown))


def add_all(files: PageFiles, imports: Iterable[tuple[str, list[str]]]) -> list[Chunk]:
    """Add chunks that are imported later; those without dependencies are no part of the page."""
    added = [files.add(name, dependencies) for name, dependencies in imports if dependencies]
    return [chunk for chunk in added if chunk]


def preload_names(
    config: dict[str, Any], folder: Path = Path(BUILD_PATH_LIB), index: Path = INDEX
) -> list[str]:
    """Return what the page should preload; nothing where Gradio's files cannot be read."""
    try:
        found = page_files(config, folder, index)
    except (OSError, ValueError, KeyError) as error:
        log.info("nothing is preloaded: %s", error)
        return []
    return found if len(found) <= MOST_CHUNKS else []
