"""What requests may name: the form of identifiers, and calls of functions that are there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from page.http.identifiers import (
    HEADERS_TOO_LONG,
    MOST_HEADERS,
    MOST_QUERY,
    MOST_TOKEN,
    NO_FUNCTION,
    NO_OBJECT,
    ONE_RANGE,
    TOKEN_TOO_LONG,
    TOO_LONG,
    RequestError,
    check_head,
    read_call,
)

JOIN = "/gradio_api/queue/join"
RUN = "/gradio_api/run/stylize"
FORM = "has 1 to 64 letters, digits, dashes or underscores."
HOSTILE = ["x" * 65, "x" * 900_000, "", "../x", "a b", "a\n", "é", "\0", 5, ["a"], {"a": 1}, True]


def head(path: str, query: str = "", **headers: str) -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"path": path, "query_string": query.encode(), "headers": raw}


def refusal(scope: dict[str, Any]) -> tuple[str, int]:
    with pytest.raises(RequestError) as caught:
        check_head(scope)
    return str(caught.value), caught.value.http_status


@pytest.mark.parametrize("value", ["x" * 65, "", "a%20b", "%00", "..", "%C3%A9"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/gradio_api/queue/data", "session_hash"),
        ("/gradio_api/upload_progress", "upload_id"),
        ("/gradio_api/upload", "upload_id"),
    ],
)
def test_identifiers_in_a_query_are_short(path: str, name: str, value: str) -> None:
    check_head(head(path, f"{name}=0a-Z_9"))
    assert refusal(head(path, f"{name}={value}")) == (f"{name} {FORM}", 400)


@pytest.mark.parametrize("path", ["/gradio_api/heartbeat/", "/gradio_api/call/stylize/"])
def test_identifiers_in_a_path_are_short(path: str) -> None:
    check_head(head(path + "x" * 64))
    for value in ("x" * 65, "a b", "a.b"):
        sentence, status = refusal(head(path + value))
        assert sentence.endswith(FORM)
        assert status == 400


def test_heads_are_short() -> None:
    check_head(head("/", "x" * MOST_QUERY))
    assert refusal(head("/", "x" * (MOST_QUERY + 1))) == (TOO_LONG, 414)
    assert refusal(head("/" + "x" * 2000)) == (TOO_LONG, 414)
    assert refusal(head("/", cookie="x" * MOST_HEADERS)) == (HEADERS_TOO_LONG, 431)


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "bytes=-", "bytes=²-³", "lines=1-2", "bytes="])
def test_one_range_is_asked_for_at_a_time(asked: str) -> None:
    path = "/gradio_api/file=/tmp/photo.jpg"
    for fine in ("bytes=0-1", "bytes=5-", "bytes=-5"):
        check_head(head(path, range=fine))
    assert refusal(head(path, range=asked)) == (ONE_RANGE, 416)


def read(path: str, **call: Any) -> Any:
    return read_call(path, json.dumps(call).encode(), {0: "", 7: ""}, {"stylize"})


def refused(path: str, **call: Any) -> tuple[str, int]:
    with pytest.raises(RequestError) as caught:
        read(path, **call)
    return str(caught.value), caught.value.http_status


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("path", [JOIN, RUN, "/gradio_api/call/stylize", "/gradio_api/cancel"])
def test_a_session_hash_is_short_and_plain(path: str, value: Any) -> None:
    assert read(path, session_hash="0a-Z_9", fn_index=0, data=[])["session_hash"] == "0a-Z_9"
    sentence = (f"session_hash {FORM}", 400)
    assert refused(path, session_hash=value, fn_index=0, data=[]) == sentence


@pytest.mark.parametrize("value", [value for value in HOSTILE if value != ""])
def test_an_event_id_is_short_and_plain(value: Any) -> None:
    read("/gradio_api/cancel", session_hash="a", fn_index=0, event_id="")  # of no event yet
    sentence = (f"event_id {FORM}", 400)
    assert refused("/gradio_api/reset", event_id=value) == sentence
    assert refused(JOIN, event_id=value, session_hash="a", fn_index=0) == sentence


@pytest.mark.parametrize("number", [-1, 1, 2**80, "0", 0.0, True, [0]])
@pytest.mark.parametrize("path", [JOIN, RUN])
def test_only_functions_that_are_there_are_called(path: str, number: Any) -> None:
    read(path, session_hash="a", fn_index=7, data=[])
    assert refused(path, session_hash="a", fn_index=number, data=[]) == (NO_FUNCTION, 404)


@pytest.mark.parametrize("kind", ["run", "api", "call", "call/v2"])
def test_only_names_that_are_there_are_called(kind: str) -> None:
    read(f"/gradio_api/{kind}/stylize", data=[])
    assert refused(f"/gradio_api/{kind}/nothing", data=[]) == (NO_FUNCTION, 404)
    assert refused(JOIN, session_hash="a", data=[]) == (NO_FUNCTION, 404)


def test_a_token_is_short() -> None:
    read(RUN, data=[], oauth_token="x" * MOST_TOKEN)
    assert refused(RUN, data=[], oauth_token="x" * (MOST_TOKEN + 1)) == (TOKEN_TOO_LONG, 400)


@pytest.mark.parametrize("body", [b"", b"5", b"[]", b"null", b"{", b"[" * 100_000, b'"\xff"'])
def test_a_call_is_an_object(body: bytes) -> None:
    with pytest.raises(RequestError, match=NO_OBJECT):
        read_call(JOIN, body, {0: ""}, {"stylize"})
