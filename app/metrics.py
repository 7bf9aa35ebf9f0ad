"""`/metrics`: the service about itself, in Prometheus' text format."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import utc_now
from app.status.snapshot import Snapshot
from app.worker.figures import Figures

GAUGES = {"sites", "buffered_readings", "echo_in_flight"}
BEAT = text("SELECT figures, beat_at, started_at FROM worker_beat ORDER BY beat_at DESC LIMIT 1")


class Requests:
    """Counts and times requests by method, route and status: routes, not paths, so the number of series is bounded."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._app = app
        labels = ("method", "route")
        self._count = Counter("sinyal_http_requests", "Requests answered", (*labels, "status"), registry=registry)
        self._seconds = Histogram("sinyal_http_request_seconds", "Time to answer", labels, registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started, status = time.perf_counter(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._count.labels(method, route, str(status)).inc()
            self._seconds.labels(method, route).observe(time.perf_counter() - started)


METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"}


class Current(Collector):
    """What is true at the moment of the scrape: the worker's figures, the snapshot, the pool."""

    def __init__(self, snapshot: Snapshot, engine: AsyncEngine, beat: Any) -> None:
        self._snapshot, self._engine, self._beat = snapshot, engine, beat

    def collect(self) -> Iterator[Metric]:
        now = utc_now()
        states: dict[str, int] = {}
        for entry in self._snapshot.entries.values():
            state = entry.shows(now, gone="", maintenance=False).state
            states[state] = states.get(state, 0) + 1
        by_state = GaugeMetricFamily("sinyal_sites_by_state", "Active sites in each state", labels=["state"])
        for state, count in sorted(states.items()):
            by_state.add_metric([state], count)
        yield by_state
        pool: Any = self._engine.pool
        yield GaugeMetricFamily("sinyal_database_connections_in_use", "Of the api's pool", pool.checkedout())
        if self._beat is not None:
            age = (now - self._beat.beat_at).total_seconds()
            yield GaugeMetricFamily("sinyal_worker_beat_age_seconds", "Since the worker's last sign of life", age)
            started = self._beat.started_at.timestamp()
            yield GaugeMetricFamily("sinyal_worker_started_timestamp_seconds", "When the worker took over", started)
            yield from _figures(self._beat.figures)


def _figures(figures: dict[str, float]) -> Iterator[Metric]:
    for name in Figures.__dataclass_fields__:
        value = figures.get(name, 0)
        family = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
        yield family(f"sinyal_worker_{name}", f"The worker's {name.replace('_', ' ')}", value)


async def render(registry: CollectorRegistry, snapshot: Snapshot, engine: AsyncEngine) -> bytes:
    """Everything but the worker's figures is there even while the database is away."""
    beat = None
    try:
        async with asyncio.timeout(2), engine.connect() as connection:
            beat = (await connection.execute(BEAT)).one_or_none()
    except Exception:  # a scrape must answer when the database does not: its absence shows in what is missing
        beat = None
    current = CollectorRegistry()
    current.register(Current(snapshot, engine, beat))
    return generate_latest(registry) + generate_latest(current)
