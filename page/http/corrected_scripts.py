"""Scripts of Gradio, corrected as they are served.

- Gradio 6.31 stops its count of a component's seconds when the component is done, but not when it
  is taken off the page. So the one of its loading screen goes on sixty times a second for as long
  as the page is open, and takes 7 % of a core.
- When an event gets no answer, it waits until the server can be reached, and then loads the page
  anew: what the visitor chose is gone, and what was clicked meanwhile never happens. As long as the
  server knows the session, the page stays, and the events without an answer are sent then, each
  once. (One whose answer alone was lost happens twice; a page that waits for it forever is worse.)

In a version that is built otherwise nothing is corrected.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from gradio.route_utils import BUILD_PATH_LIB
from starlette.routing import Route

from page.http.fixed_content import IMMUTABLE, content_route

log = logging.getLogger(__name__)

COUNT = re.compile(  # effect(() => { status === "pending" ? start() : untrack(() => { stop() }) })
    r"([\w$]+)\(\(\)=>\{[\w$]+\.status===`pending`\?[\w$]+\(\):[\w$]+\(\(\)=>\{([\w$]+)\(\)\}\)\}\)"
)
ENDED = r"\g<0>,\1(()=>()=>{\2()})"  # and an effect that does nothing until it is taken down

DISPATCH = re.compile(r"async dispatch\((\w)\)\{if\(this\.connection_lost\)return;")
NOTED = (  # what has no answer
    r"async dispatch(\1){let nstEvent=\1;"
    r"if(this.connection_lost){(this.nstUnsent??=[]).push(nstEvent);return}"
)
BROKEN = re.compile(r"if\(((\w)\.broken\|\|\2\.session_not_found)\)\{")
BROKEN_NOTED = (
    r"if(\1){\2.session_not_found?this.nstIsUnknown=!0:(this.nstUnsent??=[]).push(nstEvent);"
)
BACK = re.compile(
    r"(?P<clear>[\w$]+\((?P<list>[\w$]+),[\w$]+\((?P=list)\)\.filter\(e=>e\.type!==`error`\),!0\))"
    r"(?P<shown>,.{0,400}?)"
    r"\(clearInterval\((?P<timer>[\w$]+)\),(?P=timer)=null,window\.location\.reload\(\)\)"
    r"(?P<rest>\}catch\(e\)\{console\.debug\(e\)\}\},2e3\)\}let (?P<events>[\w$]+)=new )"
)
STAYS = (
    r"\g<clear>\g<shown>(clearInterval(\g<timer>),\g<timer>=null,"
    r"e===`connected`&&!\g<events>.nstIsUnknown?(\g<clear>,\g<events>.connection_lost=!1,"
    r"\g<events>.client.abort_controller?.abort(),\g<events>.client.stream_status.open=!1,"
    r"[...new Map((\g<events>.nstUnsent??[]).splice(0).map(e=>"
    r"[[e.type,e.fn_index,e.event_name,e.target_id].join(),e])).values()]"
    r".forEach(e=>\g<events>.dispatch(e))):window.location.reload())\g<rest>"
)


@dataclass(frozen=True)
class Correction:
    """What is wrong in a script, and what takes its place: each pattern is there once."""

    scripts: str  # a pattern of file names
    mends: tuple[tuple[re.Pattern[str], str], ...]

    def of(self, code: str) -> str | None:
        """Return a script corrected; None for one that is built otherwise."""
        for pattern, mend in self.mends:
            code, count = pattern.subn(mend, code)
            if count != 1:
                return None
        return code


CORRECTIONS = (
    Correction("statustracker-*.js", ((COUNT, ENDED),)),
    Correction("Blocks-*.js", ((DISPATCH, NOTED), (BROKEN, BROKEN_NOTED), (BACK, STAYS))),
)


def corrected_routes(folder: Path = Path(BUILD_PATH_LIB)) -> list[Route]:
    """Return the routes of the scripts in which there is something to correct."""
    routes: list[Route] = []
    for correction in CORRECTIONS:
        before = len(routes)
        for path in sorted(folder.glob(correction.scripts)):
            corrected = correction.of(path.read_text(encoding="utf-8"))
            if corrected is not None:
                address = f"/assets/{path.name}"
                content = corrected.encode()
                routes.append(content_route(address, content, "text/javascript", IMMUTABLE))
        if len(routes) == before:
            log.info("Gradio's %s has nothing to correct, and is left", correction.scripts)
    return routes
