"""Health, metrics and logs: what whoever runs the server asks, and what they are not told."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from helpers.painting import SMALL
from helpers.requesting import META, arguments, call
from helpers.server import Server, running_server
from helpers.tiny_network import SERVED
from helpers.working import ALWAYS, MakeJob, make_job, settle
from nst.errors import BusyError, SettingsError, TooLargeError
from nst.studio.limits import Limits
from nst.studio.statistics import PHASES, REASONS
from nst.studio.task import State
from nst.studio.workshop import Workshop
from page.http.admission import Admission
from page.http.health import health_routes
from page.http.metrics import HELD_UP, ServerCollector, metrics_route
from page.http.middleware import SecurityMiddleware
from page.http.refusals import REASONS as REFUSED
from page.http.refusals import Refusals
from page.http.sessions import Sessions
from page.logs import JSONFormatter, log_style
from page.rendering import Renderings

__all__ = ["make_job"]  # fixtures

NAME = "jane-doe-passport.jpg"  # of an upload
VISITOR = "93.184.216.34"  # as a proxy forwards it
OTHER = "2a00:1450:4001:81b::200e"

Metrics = dict[str, float]


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path, ALWAYS)
    yield workshop
    workshop.close()


@pytest.fixture
def renderings() -> Iterator[Renderings]:
    renderings = Renderings(1)
    yield renderings
    renderings.close()


@pytest.fixture
def web(workshop: Workshop, renderings: Renderings) -> TestClient:
    """An application that answers with the status that is asked for, below the middleware."""

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("", int(request.path_params["status"]))

    refusals = Refusals()
    collector = ServerCollector(workshop, renderings, Sessions(), refusals)
    routes = [
        *health_routes(workshop),
        metrics_route([collector]),
        Route("/answer/{status}", answer),
    ]
    middleware = [Middleware(SecurityMiddleware, refusals=refusals)]
    return TestClient(Starlette(routes=routes, middleware=middleware))


def parsed(text: str) -> Metrics:
    """The samples in Prometheus' text format, each by its name and label."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics(web: httpx.Client | TestClient) -> Metrics:
    answer = web.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    return parsed(answer.text)


def test_a_server_is_ready_until_it_drains(web: TestClient, workshop: Workshop) -> None:
    for path in ("/healthz", "/healthz/ready"):
        answer = web.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert metrics(web)["nst_ready"] == 1
    workshop.close()
    for path in ("/healthz", "/healthz/ready"):
        answer = web.get(path)
        assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"  # of the middleware
    answer = web.get("/healthz/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})
    assert metrics(web)["nst_ready"] == 0


def test_metrics_tell_what_was_painted(
    web: TestClient, workshop: Workshop, make_job: MakeJob
) -> None:
    first = make_job()
    workshop.submit(first)
    settle(workshop)
    found = metrics(web)
    assert found["nst_jobs_ended_total finished"] == 1
    assert [found[f"nst_phase_seconds_count {phase}"] for phase in PHASES[:3]] == [1, 1, 1]
    assert found["nst_phase_seconds_count saving"] >= SMALL.iterations
    assert found["nst_phase_seconds_sum first_picture"] <= found["nst_phase_seconds_sum painting"]
    assert found["nst_phase_seconds_sum painting"] > 0
    assert found["nst_queue_length"] == found["nst_jobs running"] == found["nst_jobs held_up"] == 0
    assert found["process_resident_memory_bytes"] > 10**7
    assert found["nst_disk_free_bytes"] > 0


def test_what_only_has_to_be_put_away_was_not_painted(
    workshop: Workshop, make_job: MakeJob
) -> None:
    job = make_job()
    job.stop()
    list(workshop.paint(job))
    assert workshop.statistics.ended == {}
    assert workshop.statistics.durations["painting"].count == 0


def test_metrics_tell_of_the_queue(tmp_path: Path, make_job: MakeJob) -> None:
    workshop = Workshop(tmp_path, Limits(painters=0))
    workshop.submit(make_job(), seconds=20.0)
    workshop.submit(make_job(visitor="joe"), seconds=22.0)
    assert (workshop.load.painted, workshop.load.waiting, workshop.load.seconds) == (0, 2, 42.0)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(painters=0, waiting=1), "queue_full"),
        (Limits(painters=0, wait=5.0), "long_wait"),
        (Limits(painters=0, pictures=20_000), "memory"),
        (Limits(painters=0, waiting_of_source=1), "network"),
        (Limits(painters=0, waiting_of_one=1), "visitor"),
    ],
)
def test_refused_jobs_are_counted_by_reason(make_job: MakeJob, limits: Limits, reason: str) -> None:
    workshop = Workshop(limits=limits)
    workshop.submit(make_job(), 10.0, "8.8.8.0/24")
    with pytest.raises(BusyError):
        workshop.submit(make_job(), 10.0, "8.8.8.0/24")
    assert workshop.statistics.refused == dict.fromkeys(REASONS, 0) | {reason: 1}


def test_closing_and_size_are_reasons(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.close()
    with pytest.raises(BusyError):
        workshop.check_room("jane")
    error = TooLargeError("It is too large.")
    monkeypatch.setattr(workshop.backend, "fetch_weights", lambda _: None)
    with pytest.raises(TooLargeError), Admission(workshop).opened(SMALL):
        raise error
    refused = workshop.statistics.refused
    assert {reason: n for reason, n in refused.items() if n} == {"closing": 1, "too_large": 1}


def test_refused_requests_are_counted_by_reason(web: TestClient) -> None:
    for status in (200, 404, 413, 429, 429, 503, 507, 422):
        assert web.get(f"/answer/{status}").status_code == status
    assert web.post("/answer/200", headers={"Content-Length": "x"}).status_code == 400
    found = metrics(web)
    counted = {name: n for name, n in found.items() if name.startswith("nst_requests_refused")}
    assert {name.split()[1]: n for name, n in counted.items()} == {
        "too_large": 1, "rate_limit": 2, "busy": 1, "disk_full": 1, "invalid": 2, "too_slow": 0,
    }  # fmt: skip


def test_a_draining_server_has_refused_nothing(web: TestClient, workshop: Workshop) -> None:
    workshop.close()
    assert web.get("/healthz").status_code == 503
    assert metrics(web)["nst_requests_refused_total busy"] == 0


def test_previews_are_counted(web: TestClient, renderings: Renderings) -> None:
    for key in (("display", "job", 1), ("display", "job", 2), ("display", "job", 1), ("film", 1)):
        renderings.fetch_now(key, lambda: b"webp")
    found = metrics(web)
    assert (found["nst_previews_total"], found["nst_renderings_total"]) == (2, 3)


@pytest.mark.parametrize("address", [VISITOR, OTHER])
def test_metrics_are_nothing_to_the_world(
    workshop: Workshop, renderings: Renderings, address: str
) -> None:
    collector = ServerCollector(workshop, renderings, Sessions(), Refusals())
    application = Starlette(routes=[metrics_route([collector])])
    assert TestClient(application, client=(address, 1)).get("/metrics").status_code == 404
    for private in ("127.0.0.1", "10.0.0.7", "::1", "testclient"):
        assert TestClient(application, client=(private, 1)).get("/metrics").status_code == 200


# Logs


def test_a_record_is_a_line_of_json() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        trace = sys.exc_info()
    record = logging.LogRecord("page", logging.ERROR, "", 0, "β of %s\n", ("jane",), trace)
    record.created = 1_796_000_000.25
    line = JSONFormatter().format(record)
    assert "\n" not in line
    said = json.loads(line)
    assert said.pop("exception").endswith("ValueError: two\nlines")
    assert said == {
        "time": "2026-11-30T00:53:20.250Z",
        "level": "ERROR",
        "logger": "page",
        "message": "β of jane\n",
    }


def test_the_log_is_text_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NST_LOG", raising=False)
    assert log_style() == "text"
    monkeypatch.setenv("NST_LOG", "json")
    assert log_style() == "json"
    monkeypatch.setenv("NST_LOG", "xml")
    with pytest.raises(SettingsError, match=r"NST_LOG is 'xml'; it can be text or json\."):
        log_style()


# A server


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"NST_METRICS": "on", "NST_LOG": "json"}
    jobs = tmp_path_factory.mktemp("jobs")
    with running_server(jobs, environment=environment, plant=SERVED) as server:
        yield server


@pytest.mark.slow
def test_metrics_of_a_server_tell_nothing_of_its_visitors(
    watched: Server, photo: Image.Image, tmp_path: Path
) -> None:
    photo.save(tmp_path / NAME)
    visitor = {"X-Forwarded-For": VISITOR}
    with httpx.Client(base_url=watched.url, timeout=60, headers=visitor) as web:
        files = {"files": (NAME, (tmp_path / NAME).read_bytes())}
        (path,) = web.post("/gradio_api/upload", files=files).raise_for_status().json()
        picture = {"path": path, "meta": META}
        assert "complete" in call(web, arguments(web, content=picture, style=picture))
        assert web.get("/gradio_api/file=/etc/passwd").status_code in (403, 404)
        assert web.post("/gradio_api/call/none", content=b"{").status_code >= 400
        assert web.get("/metrics").status_code == 404
    with httpx.Client(base_url=watched.url, timeout=60) as own:
        found = metrics(own)
        text = own.get("/metrics").text
    assert found["nst_jobs_ended_total finished"] == 1
    assert found["nst_phase_seconds_count painting"] == 1
    assert found["nst_requests_refused_total invalid"] >= 1
    secrets = [NAME, "jane", "passport", VISITOR, "127.0.0.1", "/", "gradio", "etc"]
    assert [secret for secret in secrets if secret in text] == []
    families = text_string_to_metric_families(text)
    labels = {label for each in families for s in each.samples for label in s.labels.values()}
    states = {state.value for state in State}
    assert labels <= states | {HELD_UP} | {*PHASES, *REASONS, *REFUSED.values()}


@pytest.mark.slow
def test_a_log_in_json_is_nothing_else(watched: Server) -> None:
    lines = watched.log().splitlines()
    assert len(lines) >= 2
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))


@pytest.mark.slow
def test_a_server_without_a_word_has_no_metrics(server: Server) -> None:
    assert httpx.get(f"{server.url}/metrics").status_code == 404
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ready"}
    assert httpx.get(f"{server.url}/healthz/live").json() == {"status": "live"}


@pytest.mark.slow
def test_a_wrong_variable_ends_with_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="NST_LOG is 'xml'; it can be text or json") as caught,
        running_server(tmp_path, environment={"NST_LOG": "xml"}),
    ):
        raise AssertionError("it was served")
    assert "Traceback" not in str(caught.value)
