"""The form of what comes from outside and names something: sessions, events, uploads, functions.

Whatever passes is kept by somebody for a while, so it is short.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from nst.errors import UserError

MOST_QUERY = 8_000  # bytes; a link with all settings has 1000
MOST_PATH = 2_000
MOST_HEADERS = 32_000
MOST_TOKEN = 8_000
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")  # Gradio's own: ten letters and digits, or 32
NAMES = ("session_hash", "event_id", "upload_id")

CALL = re.compile(r"/gradio_api/(call|call/v2|run|api)/([^/]{0,200})/?")
JOIN = re.compile(r"/gradio_api/queue/join/?")
JSON = re.compile(r"/gradio_api/(queue/join|call/|run/|api/|cancel|reset|component_server)")
HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([^/]+)")
LISTENING = re.compile(r"/gradio_api/(?:call|call/v2)/[^/]+/([^/]+)")

NOT_AN_IDENTIFIER = "{} has 1 to 64 letters, digits, dashes or underscores."
NO_FUNCTION = "There is no such function; /gradio_api/info lists what can be called."
NO_OBJECT = "The body of this request must be a JSON object."
TOO_LONG = "The address of this request is too long."
TOKEN_TOO_LONG = "The oauth_token of this request is too long."
HEADERS_TOO_LONG = "The headers of this request are too long."
ONE_RANGE = "Only one range of bytes can be asked for at a time."
RANGE = re.compile(rb"bytes=([0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})")


class RequestError(UserError):
    """A request that cannot be served; the message is one sentence for whoever sent it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.http_status = status


def check_identifier(name: str, value: object) -> None:
    """Raise `RequestError` unless the value may name something."""
    if not (isinstance(value, str) and IDENTIFIER.fullmatch(value)):
        raise RequestError(NOT_AN_IDENTIFIER.format(name))


def check_head(scope: Scope) -> None:
    """Check the address and the headers of a request. Raises `RequestError`."""
    query, path = scope.get("query_string", b""), scope["path"]
    if len(query) > MOST_QUERY or len(path.encode("utf-8", "surrogateescape")) > MOST_PATH:
        raise RequestError(TOO_LONG, 414)
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS:
        raise RequestError(HEADERS_TOO_LONG, 431)
    if not path.startswith("/gradio_api/"):
        return
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in NAMES:
            check_identifier(name, value)
    for pattern, name in ((HEARTBEAT, "session_hash"), (LISTENING, "event_id")):
        if found := pattern.fullmatch(path):
            check_identifier(name, found[1])
    if path.startswith("/gradio_api/file"):
        ranges = [value for name, value in scope["headers"] if name == b"range"]
        if ranges and not (len(ranges) == 1 and RANGE.fullmatch(ranges[0].replace(b" ", b""))):
            raise RequestError(ONE_RANGE, 416)


def read_call(path: str, body: bytes, functions: Container[int], names: Container[str]) -> Any:
    """Return what the body of an API call says, with every identifier checked.

    `functions` and `names` are the numbers and the API names of what can be called. Raises
    `RequestError`.
    """
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(NO_OBJECT, 422) from None
    if not isinstance(call, dict):
        raise RequestError(NO_OBJECT, 422)
    is_call = CALL.fullmatch(path)
    if is_call and is_call[1] == "call/v2":  # its body holds the arguments and nothing else
        check_function(is_call[2], None, functions, names)
        return call
    for name in NAMES:
        if call.get(name) not in (None, ""):  # no event was there yet to be cancelled
            check_identifier(name, call[name])
    if call.get("session_hash") == "":
        raise RequestError(NOT_AN_IDENTIFIER.format("session_hash"))
    if len(str(call.get("oauth_token") or "")) > MOST_TOKEN:
        raise RequestError(TOKEN_TOO_LONG)
    if is_call or JOIN.fullmatch(path):
        check_function(is_call[2] if is_call else "", call.get("fn_index"), functions, names)
    return call


def check_function(
    name: str, number: object, functions: Container[int], names: Container[str]
) -> None:
    """Raise `RequestError` where a call names no function, by its API name or its number."""
    is_known = name in names if number is None else type(number) is int and number in functions
    if not is_known:
        raise RequestError(NO_FUNCTION, 404)
