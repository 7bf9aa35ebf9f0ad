"""Counts and times requests for `/metrics`."""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from fastapi.telemetry import TelemetryConfig
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # most polls take less than 1 ms
# FastAPI's own: each request asks whether it is configured, and the environment could have it exported.
NO_TELEMETRY = TelemetryConfig(auto_configure=False, tracing=False, metrics=False, logs=False)
METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"}


@dataclass(slots=True)
class ResponseDurations:
    """The seconds that responses took, counted up to each of BUCKETS."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum_s += seconds

    def cumulated(self) -> list[tuple[str, int]]:
        bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class RequestMetrics(Collector):
    """Counts and times requests by method, route and status: by route, not by path, which bounds the series.

    Numbers of its own instead of the client library's, whose locks and labels would take a third of a poll.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._app, self._in_flight = app, 0
        self._answered: Counter[tuple[str, str, int]] = Counter()
        self._times: defaultdict[tuple[str, str], ResponseDurations] = defaultdict(ResponseDurations)
        registry.register(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started, responded, status = time.perf_counter(), None, 500

        async def send_noting(message: Message) -> None:
            nonlocal responded, status
            if message["type"] == "http.response.start":
                responded, status = time.perf_counter(), message["status"]
            await send(message)

        self._in_flight += 1
        try:
            await self._app(scope, receive, send_noting)
        finally:
            self._in_flight -= 1
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._answered[method, route, status] += 1
            self._times[method, route].add((responded or time.perf_counter()) - started)

    def collect(self) -> Iterator[Metric]:
        labels = ("method", "route")
        answered = CounterMetricFamily("sinyal_http_requests", "Requests answered", labels=(*labels, "status"))
        for (method, route, status), count in list(self._answered.items()):
            answered.add_metric([method, route, str(status)], count)
        yield answered
        seconds = HistogramMetricFamily(
            "sinyal_http_request_seconds", "Seconds until the first byte of the response", labels=labels
        )
        for series, times in list(self._times.items()):
            seconds.add_metric(series, times.cumulated(), times.sum_s)
        yield seconds
        yield GaugeMetricFamily(
            "sinyal_http_requests_in_flight", "Requests in progress, streams included", self._in_flight
        )
