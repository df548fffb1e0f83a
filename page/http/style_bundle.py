"""One file for the many small styles of Gradio's components.

Each of them costs a request of its own, of which a slow line bears few: 32 for 80 kB, together
12 kB packed. Gradio's loader (Vite's) fetches no style of which the document has a link already;
for each that is in the bundle there is one that is disabled, and so never fetched. (By its medium
too: Chromium looks ahead for styles, and does not see there that one is disabled.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gradio.route_utils import BUILD_PATH_LIB
from starlette.routing import Route

from page.http.etags import content_hash
from page.http.fixed_content import IMMUTABLE, content_route

ELSEWHERE = re.compile(r"@import|@charset|url\((?![\"']?data:)")  # depends on where the file is


@dataclass(frozen=True)
class StyleBundle:
    """The contents of some styles, in their order, and their names."""

    names: tuple[str, ...] = ()
    content: bytes = b""

    @classmethod
    def read(cls, names: Iterable[str], folder: Path = Path(BUILD_PATH_LIB)) -> StyleBundle:
        """Bundle those of the styles that may be in any file. Raises `OSError`."""
        styles = {name: (folder / name).read_text(encoding="utf-8") for name in names}
        bundled = {name: text for name, text in styles.items() if not ELSEWHERE.search(text)}
        return cls(tuple(bundled), "\n".join(bundled.values()).encode())

    @property
    def address(self) -> str:
        """Return the address of the bundle, which names its content."""
        return f"studio/styles-{content_hash(self.content)}.css"

    def links(self) -> str:
        """Return the links to the bundle, and to what it stands for."""
        if not self.names:
            return ""
        disabled = "".join(
            f'<link rel="stylesheet" disabled media="not all" href="./assets/{quote(name)}">'
            for name in self.names
        )
        return f'<link rel="stylesheet" href="{self.address}">{disabled}'

    def routes(self) -> list[Route]:
        """Return the route of the bundle, if there is anything in it."""
        address = f"/{self.address}"
        kept = content_route(address, self.content, "text/css", IMMUTABLE)
        return [kept] if self.names else []
