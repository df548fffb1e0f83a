"""`/metrics`: numbers about the server for Prometheus, where `NST_METRICS` asks for them.

They tell how much is done and refused, never for whom: no label comes from a request.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typing_extensions import override

from nst.studio.task import State
from nst.studio.workshop import Workshop
from page.http.rate_limit import network_of_scope
from page.http.refusals import Refusals
from page.http.sessions import Sessions
from page.rendering import Renderings

PATH = "/metrics"
HELD_UP = "held_up"  # the state of a running job whose workers cannot be reached
PREVIEW = "display"  # the kind of a rendering of what the stage shows of a job


@dataclass(frozen=True)
class ServerCollector(Collector):
    """Read the present numbers of the server's parts, at each scrape anew."""

    workshop: Workshop
    renderings: Renderings
    sessions: Sessions
    refusals: Refusals

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; docs/operating.md says what each of them is for."""
        yield from self._of_queue()
        yield from self._of_past()
        yield from self._of_server()

    def _of_queue(self) -> Iterator[Metric]:
        load = self.workshop.load
        live = {
            State.WAITING.value: load.waiting,
            State.RUNNING.value: load.painted - load.held_up,
            HELD_UP: load.held_up,
        }
        yield labelled(GaugeMetricFamily, "nst_jobs", "Live jobs and contact sheets.", live)
        text = "Jobs and contact sheets in the queue."
        yield GaugeMetricFamily("nst_queue_length", text, load.waiting)
        text = "Expected seconds until all that waits now is painted."
        yield GaugeMetricFamily("nst_queue_wait_seconds", text, load.seconds)

    def _of_past(self) -> Iterator[Metric]:
        done = self.workshop.statistics
        text = "Jobs and contact sheets that were painted, by how that ended."
        ended = {state.value: 0 for state in State if not state.is_live} | done.ended
        yield labelled(CounterMetricFamily, "nst_jobs_ended", text, ended)
        text = "Jobs and contact sheets that were refused."
        yield labelled(CounterMetricFamily, "nst_jobs_refused", text, done.refused)
        text = "Requests that were refused."
        yield labelled(CounterMetricFamily, "nst_requests_refused", text, self.refusals.counts)
        text = "Seconds that jobs spent in each phase."
        phases = SummaryMetricFamily("nst_phase_seconds", text, labels=["phase"])
        for phase, duration in done.durations.items():
            phases.add_metric([phase], duration.count, duration.seconds)
        yield phases

    def _of_server(self) -> Iterator[Metric]:
        text = "1 while the server takes new jobs, 0 when it drains."
        yield GaugeMetricFamily("nst_ready", text, not self.workshop.is_closing)
        made = self.renderings.made
        text = "Previews that were made."
        yield CounterMetricFamily("nst_previews", text, made[PREVIEW])
        text = "Previews, thumbnails, films and files that were made."
        yield CounterMetricFamily("nst_renderings", text, sum(made.values()))
        text = "Renderings that are made or wait for a thread."
        yield GaugeMetricFamily("nst_renderings_pending", text, self.renderings.pending)
        text = "Sessions of browsers and programs."
        yield GaugeMetricFamily("nst_sessions", text, len(self.sessions))
        if (free := self._free_bytes()) is not None:
            text = "Bytes free on the disk of the jobs."
            yield GaugeMetricFamily("nst_disk_free_bytes", text, free)

    def _free_bytes(self) -> int | None:
        store = self.workshop.job_store
        with contextlib.suppress(OSError):
            return shutil.disk_usage(store.folder).free if store else None
        return None


def labelled(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    text: str,
    values: Mapping[str, float],
) -> Metric:
    """Return a metric with a value for each state or reason."""
    label = "state" if name in ("nst_jobs", "nst_jobs_ended") else "reason"
    family = kind(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def metrics_route(collectors: Iterable[Collector]) -> Route:
    """Return the route of the metrics, with those of the process.

    Whoever asks from a public address is told that there is nothing.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)

    def send(request: Request) -> Response:
        if network_of_scope(request.scope):
            return Response("Not found.", 404, media_type="text/plain")
        headers = {"Cache-Control": "no-store"}
        return Response(generate_latest(registry), 200, headers, CONTENT_TYPE_PLAIN_0_0_4)

    return Route(PATH, send)
