"""Answers whose content stays the same while the server runs; browsers that hold it get no copy."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from page.http.etags import content_hash, matches

IMMUTABLE = "public, max-age=31536000, immutable"


def content_route(address: str, content: bytes, media_type: str, cache_control: str) -> Route:
    """Return the route of one content, which browsers keep for as long as `cache_control` says."""
    version = content_hash(content)

    async def send(request: Request) -> Response:
        return content_response(request, content, media_type, version, cache_control)

    return Route(address, send)


def content_response(
    request: Request, content: bytes, media_type: str, version: str, cache_control: str
) -> Response:
    """Return the answer with a content; without it where the browser holds this version."""
    headers = {"Cache-Control": cache_control, "ETag": f'"{version}"'}
    if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
