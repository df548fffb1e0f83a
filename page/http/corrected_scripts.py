"""Gradio's script that counts a component's seconds, corrected as it is served.

Gradio 6.31 stops the count when the component is done, but not when it is taken off the page. So
the one of its loading screen goes on sixty times a second for as long as the page is open, and
takes 7 % of a core. In a version that is built otherwise nothing is corrected.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from gradio.route_utils import BUILD_PATH_LIB
from starlette.routing import Route

from page.http.fixed_content import IMMUTABLE, content_route

log = logging.getLogger(__name__)

SCRIPTS = "statustracker-*.js"
COUNT = re.compile(  # effect(() => { status === "pending" ? start() : untrack(() => { stop() }) })
    r"([\w$]+)\(\(\)=>\{[\w$]+\.status===`pending`\?[\w$]+\(\):[\w$]+\(\(\)=>\{([\w$]+)\(\)\}\)\}\)"
)
ENDED = r"\g<0>,\1(()=>()=>{\2()})"  # and an effect that does nothing until it is taken down


def corrected_routes(folder: Path = Path(BUILD_PATH_LIB)) -> list[Route]:
    """Return the route of the corrected script; none where there is nothing to correct."""
    routes = []
    for path in sorted(folder.glob(SCRIPTS)):
        corrected, count = COUNT.subn(ENDED, path.read_text(encoding="utf-8"))
        if count == 1:
            address, content = f"/assets/{path.name}", corrected.encode()
            routes.append(content_route(address, content, "text/javascript", IMMUTABLE))
    if not routes:
        log.info("Gradio's count of seconds was not found, and is left as it is")
    return routes
