"""The middleware between the network and the page.

Requests pass it first: what is too large, too slow or for a route of Gradio's that stays shut ends
here, and answers get their headers. The threat model is in SECURITY.md.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nst.outputs import DISK_FULL
from nst.studio.queue import in_minutes
from page.error_messages import NO_DISK
from page.http.answer import Answer
from page.http.body_limits import TOO_LARGE, Body
from page.http.content_policy import scripts_in
from page.http.identifiers import RequestError
from page.http.rate_limit import network_of_scope
from page.http.refusals import Refusals
from page.http.upload_space import UploadSpace
from page.http.uploads import (
    NO_ROOM,
    Upload,
    UploadsUnderWay,
)

log = logging.getLogger(__name__)


# Gradio's, but not the page's: to fetch from elsewhere, to keep states, to develop, to watch.
SHUT = re.compile(
    r"/gradio_api/(file=\w{2,}:|proxy=|stream/|deep_link|dev/|vibe|process_recording"
    r"|component_server|custom_component/|runs\b|run-history|profiling)|^/monitoring|^/openapi\.json",
    re.IGNORECASE,
)


class SecurityMiddleware:
    """Add headers to every answer, and end requests that nobody should make.

    That is one that is too large, for a door that is shut, or with a file that `upload_space` has
    no room for. `heads` are the files with scripts that Gradio adds to the page. What is refused
    here or further on is counted in `refusals`. (ASGI middleware.)
    """

    def __init__(
        self,
        app: ASGIApp,
        heads: Iterable[Path] = (),
        upload_space: UploadSpace | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self.app = app
        self.upload_space = upload_space
        self.refusals = refusals or Refusals()
        self.uploads = UploadsUnderWay()
        self.scripts = [name for head in heads for name in scripts_in(head.read_bytes())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "session" in scope and is_of_another_site(scope):
            scope = {**scope, "session": {}}  # who is signed in here did not ask for this
        answer = Answer(scope, receive, send, self.scripts)
        try:
            body = Body(scope, receive, answer)
            if SHUT.search(scope["path"]):
                await answer.say("Not found.", 404)
            elif body.announced > body.limit:
                await answer.say(TOO_LARGE, 413)
            elif self.upload_space and body.is_upload:
                await self._take(scope, body, answer, self.upload_space)
            else:
                await self._ask(scope, body, answer)
        except RequestError as error:
            await answer.say(str(error), error.http_status)
        finally:
            self.refusals.note(scope["path"], answer.status)

    async def _take(
        self, scope: Scope, body: Body, answer: Answer, upload_space: UploadSpace
    ) -> None:
        """Take an upload, if there is room for it."""
        network = network_of_scope(scope)
        with self.uploads.another(network):
            size = body.announced or body.limit
            if wait := await asyncio.to_thread(upload_space.wait_for, size, network):
                await answer.say(NO_ROOM.format(in_minutes(wait)), 503)
                return
            content_type = Headers(scope=scope).get("content-type", "")
            body.upload = Upload(content_type, upload_space, network)
            try:
                await self._ask(scope, body, answer)
            finally:
                body.upload.end(is_kept=answer.status == 200)

    async def _ask(self, scope: Scope, body: Body, answer: Answer) -> None:
        try:
            await self.app(scope, body.receive, answer.send)
        except Exception as error:
            if answer.is_final:
                return  # the request was refused half-way
            is_full = isinstance(error, OSError) and error.errno in DISK_FULL
            if is_full and body.is_upload and not answer.has_begun:
                log.warning("an upload could not be kept: %s", error)
                if self.upload_space:
                    await asyncio.to_thread(self.upload_space.drop_halves)
                await answer.say(NO_DISK, 507)
                return
            if not answer.has_begun:
                await answer.say("Internal Server Error", 500)
            raise


def is_of_another_site(scope: Scope) -> bool:
    """Tell whether a page elsewhere makes this request in a visitor's browser, links to here apart.

    Gradio lets it, and its session cookie goes along on a Space, which is shown in a frame.
    """
    headers = Headers(scope=scope)
    is_link = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_link
