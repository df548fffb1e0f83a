"""Rate limits by network, whose address no header can forge but that of a trusted proxy."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import page.http.rate_limit
from page.http.rate_limit import Rate, RateLimit, network_of
from page.http.request_limits import TOO_OFTEN, RequestLimits
from page.http.sessions import Sessions

BLOCKS = SimpleNamespace(fns={0: SimpleNamespace(api_name=None)})
CALL = {"session_hash": "a", "fn_index": 0, "data": []}


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_and_fills_again() -> None:
    clock = Clock()
    limit = RateLimit(Rate(2.0, 3.0), clock=clock)
    assert [limit.wait_for("8.8.8.8/32") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.wait_for("9.9.9.9/32") == 0
    clock.now = 0.5
    assert [limit.wait_for("8.8.8.8/32") for _ in range(2)] == [0, 0.5]
    clock.now = 1000.0
    assert [limit.wait_for("8.8.8.8/32") for _ in range(4)] == [0, 0, 0, 0.5]


def test_local_visitors_share_a_bucket_that_is_large() -> None:
    limit = RateLimit(clock=Clock())
    assert not any(limit.wait_for("") for _ in range(4000))
    assert limit.wait_for("") > 0


def test_no_more_networks_are_remembered_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page.http.rate_limit, "MOST_NETWORKS", 10)
    limit = RateLimit(Rate(1.0, 1.0), clock=Clock())
    for number in range(1000):
        assert limit.wait_for(f"network {number}") == 0
    assert limit.wait_for("network 999") > 0
    assert limit.wait_for("network 0") == 0  # forgotten


@pytest.mark.parametrize("host", ["x" * 10_000, "", None, 5, "8.8.8.8; evil", "::1", "10.0.0.1"])
def test_what_is_no_public_address_names_no_network(host: object) -> None:
    assert network_of(host) == ""


def app_of(limit: RateLimit) -> Any:
    async def join(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    routes = [Route("/gradio_api/queue/join", join, methods=["POST"])]
    return RequestLimits(Starlette(routes=routes), BLOCKS, Sessions(), limit)


def statuses(app: Any, address: str, forwarded: list[str]) -> list[int]:
    """What calls from an address get that name others in `X-Forwarded-For`."""

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as web:
            found = []
            for name in forwarded:
                headers = {"X-Forwarded-For": name} if name else {}
                answer = await web.post("/gradio_api/queue/join", json=CALL, headers=headers)
                if answer.status_code == 429:
                    assert answer.json() == {"detail": TOO_OFTEN}
                    assert int(answer.headers["Retry-After"]) >= 1
                found.append(answer.status_code)
            return found

    return asyncio.run(ask())


def test_a_network_that_asks_too_often_is_told_so() -> None:
    app = app_of(RateLimit(Rate(1.0, 2.0), clock=Clock()))
    assert statuses(app, "8.8.8.8", [""] * 3) == [200, 200, 429]
    assert statuses(app, "9.9.9.9", [""]) == [200]


def test_a_forged_header_does_not_help() -> None:
    """Neither without a proxy, nor through one: it appends the address that it sees."""
    forged = [f"1.1.1.{number}" for number in range(3)]
    direct = ProxyHeadersMiddleware(app_of(RateLimit(Rate(1.0, 2.0), clock=Clock())), "10.0.0.1")
    assert statuses(direct, "8.8.8.8", forged) == [200, 200, 429]
    through = ProxyHeadersMiddleware(app_of(RateLimit(Rate(1.0, 2.0), clock=Clock())), "10.0.0.1")
    appended = [f"{name}, 8.8.8.8" for name in forged]
    assert statuses(through, "10.0.0.1", appended) == [200, 200, 429]
    assert statuses(through, "10.0.0.1", ["9.9.9.9"]) == [200]
