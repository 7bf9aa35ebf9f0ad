"""`/metrics`: the service about itself, in Prometheus' text format."""

import asyncio
import time
from collections import Counter as Counts
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.clock import WITA_SQL, utc_now
from app.postgres.engine import Sessions, transaction
from app.registry.models import SiteKind, State
from app.status.snapshot import Snapshot
from app.status.stream import Streams
from app.worker.counters import Figures

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # most polls take less than 1 ms
METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"}
BEAT = text("SELECT figures, beat_at, started_at, blind_since FROM worker_beat WHERE source = 'central'")
INBOX = text("""
    SELECT (SELECT count(*) FROM (SELECT FROM push_inbox WHERE refused_at IS NULL LIMIT 100000) w) AS waiting,
        coalesce((SELECT extract(epoch FROM now() - received_at)::float FROM push_inbox
            WHERE refused_at IS NULL ORDER BY id LIMIT 1), 0) AS age_s,
        (SELECT count(*) FROM (SELECT FROM push_inbox WHERE refused_at IS NOT NULL LIMIT 100000) r) AS refused
""")
LAGS = text(f"""
    WITH over AS (SELECT date_trunc('hour', now(), 'UTC') AS hour, date_trunc('day', now(), {WITA_SQL}) AS day),
    counted AS (
        SELECT stage, CASE stage WHEN 'hours' THEN hour ELSE day END AS due, upto
        FROM rollup_watermark, over WHERE stage IN ('hours', 'days')
        UNION ALL
        SELECT 'availability', day, (SELECT max(c.day) + 1 FROM counted_day c)::timestamp AT TIME ZONE {WITA_SQL}
        FROM over
    )
    SELECT stage, greatest(0, extract(epoch FROM due - upto))::float AS lag_s
    FROM counted WHERE upto IS NOT NULL ORDER BY stage
""")


class Requests:
    """Counts and times requests by method, route and status: routes, not paths, so the number of series is bounded."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._app, self._under_way = app, 0
        labels = ("method", "route")
        self._count = Counter("sinyal_http_requests", "Requests answered", (*labels, "status"), registry=registry)
        self._seconds = Histogram(
            "sinyal_http_request_seconds", "Time until an answer began", labels, registry=registry, buckets=BUCKETS
        )
        in_flight = Gauge("sinyal_http_requests_in_flight", "Requests under way, streams among them", registry=registry)
        in_flight.set_function(lambda: self._under_way)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started, answered, status = time.perf_counter(), None, 500

        async def note(message: Message) -> None:
            nonlocal answered, status
            if message["type"] == "http.response.start":
                answered, status = time.perf_counter(), message["status"]
            await send(message)

        self._under_way += 1
        try:
            await self._app(scope, receive, note)
        finally:
            self._under_way -= 1
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._count.labels(method, route, str(status)).inc()
            self._seconds.labels(method, route).observe((answered or time.perf_counter()) - started)


@dataclass(frozen=True, slots=True)
class Told:
    """What the database says of the worker and of what it has counted."""

    beat: Any | None
    lags: Sequence[Any]
    inbox: Any


class Current(Collector):
    """What is true at the moment of the scrape. `told`: None while the database is away."""

    def __init__(self, state: Any, told: Told | None) -> None:
        self._snapshot: Snapshot = state.snapshot
        self._pool: Any = state.engine.pool
        self._streams: Streams = state.streams
        self._told = told

    def collect(self) -> Iterator[Metric]:
        now = utc_now()
        yield from self._status(now)
        yield from self._database()
        yield from self._worker(now)

    def _status(self, now: datetime) -> Iterator[Metric]:
        snapshot = self._snapshot
        counts = Counts((entry.site.kind, entry.shown.state) for entry in snapshot.entries.values())
        sites = GaugeMetricFamily("sinyal_sites_by_state", "Active sites and nodes by state", labels=["kind", "state"])
        for kind in SiteKind:
            for state in State:
                sites.add_metric([kind, state], counts[kind.value, state.value])
        yield sites
        yield CounterMetricFamily("sinyal_status_versions", "Versions of the status published", snapshot.versions)
        if snapshot.versions:
            age = now.timestamp() - snapshot.version.ms / 1000
            yield GaugeMetricFamily("sinyal_status_version_age_seconds", "Since the last version of the status", age)
        yield GaugeMetricFamily("sinyal_status_streams", "Streams of the status that are open", self._streams.open)

    def _database(self) -> Iterator[Metric]:
        pool = self._pool
        yield GaugeMetricFamily("sinyal_database_up", "Whether it answered this scrape", self._told is not None)
        for name, what, value in (
            ("in_use", "Connections of the api that are in use", pool.checkedout()),
            ("pooled", "Connections that the api keeps", pool.size()),
            ("overflow", "Connections open beyond those that it keeps", max(0, pool.overflow())),
            ("limit", "Connections it may have in all", pool.size() + pool._max_overflow),
        ):
            yield GaugeMetricFamily(f"sinyal_database_connections_{name}", what, value)
        lags = GaugeMetricFamily(
            "sinyal_rollup_lag_seconds", "From what is counted to the newest finished hour or day", labels=["stage"]
        )
        for row in self._told.lags if self._told else ():
            lags.add_metric([row.stage], row.lag_s)
        yield lags
        if self._told:
            inbox = self._told.inbox
            for name, what, value in (
                ("waiting", "Pushes that the worker has not taken in yet, up to 100000", inbox.waiting),
                ("age_seconds", "How long the oldest of them waits", max(0.0, inbox.age_s)),
                ("refused", "Pushes that it could not take in, set aside", inbox.refused),
            ):
                yield GaugeMetricFamily(f"sinyal_inbox_{name}", what, value)

    def _worker(self, now: datetime) -> Iterator[Metric]:
        beat = self._told.beat if self._told else None
        beat_at = beat.beat_at if beat else self._snapshot.beat_at
        if beat_at is not None:
            age = (now - beat_at).total_seconds()
            yield GaugeMetricFamily("sinyal_worker_beat_age_seconds", "Since the worker's last sign of life", age)
        if beat is not None:
            started = beat.started_at.timestamp()
            yield GaugeMetricFamily("sinyal_worker_started_timestamp_seconds", "When the worker took over", started)
            yield GaugeMetricFamily("sinyal_worker_blind", "Whether no canary answers", beat.blind_since is not None)
            yield from _figures(beat.figures)


def _figures(figures: Mapping[str, Any]) -> Iterator[Metric]:
    for one in fields(Figures):
        if one.metadata:
            family = CounterMetricFamily if one.metadata["grows"] else GaugeMetricFamily
            yield family(f"sinyal_worker_{one.name}", one.metadata["what"], figures.get(one.name, 0))
    canaries = GaugeMetricFamily("sinyal_worker_canary_up", "Whether it answered the last beat", labels=["canary"])
    for address, answers in figures.get("canaries", {}).items():
        canaries.add_metric([address], answers)
    yield canaries


async def render(state: Any) -> bytes:
    """Of an application by its state. What the worker told and counted is missing while the database is away."""
    current = CollectorRegistry()
    ProcessCollector(registry=current)
    current.register(Current(state, await _ask(state.sessions)))
    return generate_latest(state.metrics) + generate_latest(current)


async def _ask(sessions: Sessions) -> Told | None:
    try:
        async with asyncio.timeout(2), transaction(sessions) as session:
            beat = (await session.execute(BEAT)).one_or_none()
            return Told(beat, (await session.execute(LAGS)).all(), (await session.execute(INBOX)).one())
    except Exception:  # a scrape must answer when the database does not
        return None
