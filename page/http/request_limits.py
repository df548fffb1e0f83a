"""ASGI middleware: what a request may name, how often a network may ask, whose session it is.

Stands between `page.http.middleware` and Gradio; what a request names is checked before Gradio
keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst.errors import UserError
from page.http.identifiers import (
    CALL,
    HEARTBEAT,
    JSON,
    LISTENING,
    RequestError,
    check_head,
    read_call,
)
from page.http.rate_limit import RateLimit, network_of_scope, retry_after
from page.http.sessions import Sessions

TOO_OFTEN = "Too many requests came from your network. Please wait a moment."
WRONG_ARGUMENTS = "The arguments do not fit; /gradio_api/info lists what can be called with what."
NOTHING_TO_HEAR = "This event does not exist, or nobody has listened to it for too long."
QUEUE_DATA = "/gradio_api/queue/data"


class RequestLimits:
    """Answers with one sentence, as `{"detail": …}`, what may not pass. `blocks` is the page."""

    def __init__(
        self, app: ASGIApp, blocks: Any, sessions: Sessions, rate_limit: RateLimit | None = None
    ) -> None:
        self.app = app
        self.blocks = blocks
        self.sessions = sessions
        self.rate_limit = rate_limit or RateLimit()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            check_head(scope)
            await self._serve(scope, receive, send)
        except UserError as error:
            when = retry_after(10) if error.may_pass else None
            await refuse(scope, receive, send, str(error), error.http_status, when)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method, network = scope["path"], scope["method"], network_of_scope(scope)
        is_call = method == "POST" and JSON.match(path)
        heartbeat = HEARTBEAT.fullmatch(path)
        wait = self.rate_limit.wait_for(network) if is_call or heartbeat else 0.0
        if wait:
            await refuse(scope, receive, send, TOO_OFTEN, 429, retry_after(wait))
        elif is_call:
            await self._call(scope, receive, send, network)
        elif method == "GET" and heartbeat:
            self.sessions.enter(heartbeat[1], network)
            with self.sessions.streaming(heartbeat[1], answers=False):
                await self.app(scope, receive, send)
        elif method == "GET" and (path == QUEUE_DATA or LISTENING.fullmatch(path)):
            with self.sessions.streaming(self._listener(scope), answers=True):
                await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send, network: str) -> None:
        """Pass a call on whose body was read and checked."""
        body = await whole_body(receive)
        functions = self.blocks.fns
        call = read_call(scope["path"], body, functions, api_names(functions))
        is_run = (found := CALL.fullmatch(scope["path"])) and found[1] in ("run", "api")
        is_v2 = found and found[1] == "call/v2"
        name = None if is_v2 else call.get("session_hash")
        if name and (found or scope["path"].startswith("/gradio_api/queue/join")):
            self.sessions.enter(name, network)
        if is_run:
            send = SentenceStatus(send)
        try:
            await self.app(scope, replayed(body, receive), send)
        except (TypeError, ValueError, KeyError) as error:
            if not is_v2:
                raise
            raise RequestError(WRONG_ARGUMENTS) from error

    def _listener(self, scope: Scope) -> str:
        """Return the session whose answers a request takes, or "" where it is not known.

        Raises `RequestError` for an event that is not there.
        """
        if scope["path"] == QUEUE_DATA:
            query = parse_qs(scope["query_string"].decode("latin-1"))
            return str(query.get("session_hash", [""])[-1])
        found = LISTENING.fullmatch(scope["path"])
        event, queue = found[1] if found else "", self.blocks._queue
        if live := queue.event_ids_to_events.get(event):
            return str(live.session_hash)
        for name, events in queue.pending_event_ids_session.items():
            if event in events:
                return str(name)
        raise RequestError(NOTHING_TO_HEAR, 404)


class SentenceStatus:
    """Send an answer on, with the status of its kind.

    Where Gradio says 500 with a sentence that was written for the caller, it is sent as 400.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Send a message of ASGI on."""
        if message["type"] == "http.response.start" and message["status"] == 500:
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        if b'"error":null' not in self._body.replace(b" ", b""):
            self._start["status"] = 400
        await self._send(self._start)
        await self._send({**message, "body": self._body})


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    sentence: str,
    status: int,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer with a sentence, as Gradio's clients expect one."""
    await JSONResponse({"detail": sentence}, status, headers)(scope, receive, send)


async def whole_body(receive: Receive) -> bytes:
    """Read the body of a request; what it may be `page.http.middleware` sees to."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RequestError("The request broke off.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that begins with a body that was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def api_names(functions: Mapping[int, Any]) -> set[str]:
    """Return the names by which functions can be called."""
    return {str(event.api_name) for event in functions.values() if event.api_name}
