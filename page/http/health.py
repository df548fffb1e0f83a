"""What a proxy or an orchestrator asks: does the server live, and should it get requests?

Nobody is asked who they are; the answers tell nothing else.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nst.studio.workshop import Workshop

PATH = "/healthz"
HEADERS = {"Cache-Control": "no-store"}


def health_routes(workshop: Workshop) -> list[Route]:
    """Return the routes of `/healthz` (and `/healthz/ready`, the same) and `/healthz/live`.

    The page is served once the network is prepared, so it is ready from then on until it drains.
    On a cluster it is ready after a minute even without a worker; pictures wait then.
    """

    async def ready(_: Request) -> Response:
        status = "draining" if workshop.is_closing else "ready"
        return JSONResponse({"status": status}, 503 if workshop.is_closing else 200, HEADERS)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"}, headers=HEADERS)

    return [Route(PATH, ready), Route(f"{PATH}/ready", ready), Route(f"{PATH}/live", live)]
