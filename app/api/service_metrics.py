"""`/metrics`: the service's own metrics, in Prometheus' text format."""

import asyncio
from collections import Counter as Counts
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.alerts.models import NotificationState
from app.api.prober_metrics import prober_metrics
from app.core.clock import utc_now
from app.measurements import corrupt_packs
from app.postgres.engine import Sessions, transaction
from app.registry.models import SiteKind, State
from app.status.snapshot import Snapshot
from app.status.stream import StatusStreams
from app.system import store as system
from app.system.store import Deliveries
from app.vantages.prober_facts import VantageFacts, read_vantages
from app.worker.counters import WorkerCounters
from probes.contract import CENTRAL


@dataclass(frozen=True, slots=True)
class DatabaseMetrics:
    """What the database holds for a scrape: the worker's beat, the lag of rollups, the push inbox, alerts, probers."""

    beat: Any | None
    lags: Sequence[Any]
    inbox: Any
    deliveries: Deliveries
    vantages: Sequence[VantageFacts]


class ScrapeCollector(Collector):
    """Metrics as of the scrape; `database` is None while the database is unavailable."""

    def __init__(self, state: Any, database: DatabaseMetrics | None) -> None:
        self._snapshot: Snapshot = state.snapshot
        self._pool: Any = state.engine.pool
        self._streams: StatusStreams = state.streams
        self._database = database

    def collect(self) -> Iterator[Metric]:
        now = utc_now()
        yield from self._status(now)
        yield from self._connections()
        yield from self._rollups()
        corrupt = corrupt_packs.count()
        yield GaugeMetricFamily("sinyal_corrupt_packs", "Packs of readings that this process found corrupt", corrupt)
        yield from self._inbox()
        yield from self._deliveries()
        yield from self._worker(now)
        yield from prober_metrics(self._database.vantages if self._database else ())

    def _status(self, now: datetime) -> Iterator[Metric]:
        snapshot = self._snapshot
        counts = Counts((entry.site.kind, entry.published.state) for entry in snapshot.entries.values())
        sites = GaugeMetricFamily("sinyal_sites_by_state", "Active sites and nodes by state", labels=["kind", "state"])
        for kind in SiteKind:
            for state in State:
                sites.add_metric([kind, state], counts[kind.value, state.value])
        yield sites
        yield CounterMetricFamily("sinyal_status_versions", "Status versions published", snapshot.versions)
        if snapshot.versions:
            age = now.timestamp() - snapshot.version.ms / 1000
            yield GaugeMetricFamily("sinyal_status_version_age_seconds", "Seconds since the last status version", age)
        yield GaugeMetricFamily("sinyal_status_streams", "Open streams", self._streams.open)

    def _connections(self) -> Iterator[Metric]:
        up, pool = self._database is not None, self._pool
        yield GaugeMetricFamily("sinyal_database_up", "1 if the database answered this scrape", up)
        for name, what, value in (
            ("in_use", "API connections in use", pool.checkedout()),
            ("pooled", "API connections kept in the pool", pool.size()),
            ("overflow", "API connections open beyond the pool", max(0, pool.overflow())),
            ("limit", "API connections at most", pool.size() + pool._max_overflow),
        ):
            yield GaugeMetricFamily(f"sinyal_database_connections_{name}", what, value)

    def _rollups(self) -> Iterator[Metric]:
        lags = GaugeMetricFamily("sinyal_rollup_lag_seconds", "Seconds that each rollup is behind", labels=["stage"])
        for row in self._database.lags if self._database else ():
            lags.add_metric([row.stage], row.lag_s)
        yield lags

    def _inbox(self) -> Iterator[Metric]:
        if self._database is None:
            return
        inbox = self._database.inbox
        for name, what, value in (
            ("waiting", "Pushes the worker has not processed yet, counted up to 100000", inbox.waiting),
            ("age_seconds", "Age of the oldest of them, in seconds", max(0.0, inbox.age_s)),
            ("refused", "Pushes the worker could not process, set aside, counted up to 100000", inbox.refused),
        ):
            yield GaugeMetricFamily(f"sinyal_inbox_{name}", what, value)
        yield GaugeMetricFamily(
            "sinyal_inbox_blocks_age_seconds",
            "Age of the oldest block of probers that no worker has judged yet, of all shards, in seconds",
            max(0.0, inbox.blocks_age_s),
        )

    def _deliveries(self) -> Iterator[Metric]:
        if self._database is None:
            return
        deliveries = self._database.deliveries
        told = GaugeMetricFamily(
            "sinyal_notifications",
            "Notifications that wait (queued), and those of the last 24 hours by what became of them",
            labels=["state"],
        )
        for state in NotificationState:
            told.add_metric([state], deliveries.notifications.get(state, 0))
        yield told
        yield GaugeMetricFamily(
            "sinyal_notification_oldest_seconds", "Age of the oldest queued notification, in s", deliveries.oldest_s
        )
        failing = GaugeMetricFamily(
            "sinyal_channel_failing", "1 while a channel's deliveries fail again and again", labels=["channel"]
        )
        for channel_id, is_failing in deliveries.channels.items():
            failing.add_metric([str(channel_id)], is_failing)
        yield failing
        total = sum(deliveries.channels.values())
        yield GaugeMetricFamily("sinyal_channels_failing", "Channels whose deliveries fail again and again", total)
        if deliveries.beat_age_s is not None:
            age = max(0.0, deliveries.beat_age_s)
            yield GaugeMetricFamily(
                "sinyal_courier_beat_age_seconds", "Seconds since the courier's last heartbeat", age
            )

    def _worker(self, now: datetime) -> Iterator[Metric]:
        beat = self._database.beat if self._database else None
        beat_at = beat.beat_at if beat else self._snapshot.beat_at
        if beat_at is not None:
            age = (now - beat_at).total_seconds()
            yield GaugeMetricFamily("sinyal_worker_beat_age_seconds", "Seconds since the worker's last heartbeat", age)
        if beat is not None:
            started = beat.started_at.timestamp()
            yield GaugeMetricFamily(
                "sinyal_worker_started_timestamp_seconds", "Unix time of the worker's start", started
            )
            yield GaugeMetricFamily("sinyal_worker_blind", "1 while no canary answers", beat.blind_since is not None)
            yield from _figures(beat.figures)


def _figures(figures: Mapping[str, Any]) -> Iterator[Metric]:
    for field in fields(WorkerCounters):
        if field.metadata:
            family = CounterMetricFamily if field.metadata["is_counter"] else GaugeMetricFamily
            yield family(f"sinyal_worker_{field.name}", field.metadata["help"], figures.get(field.name, 0))
    canaries = GaugeMetricFamily("sinyal_worker_canary_up", "1 if the canary answered last", labels=["canary"])
    for address, answers in figures.get("canaries", {}).items():
        canaries.add_metric([address], answers)
    yield canaries


async def render(state: Any) -> bytes:
    """Render all metrics of the api; those from the database are missing while it is unavailable."""
    registry = CollectorRegistry()
    registry.register(ScrapeCollector(state, await _read_database(state.sessions)))
    return render_process(state) + generate_latest(registry)


def render_process(state: Any) -> bytes:
    """Render what an app of this process counted, and the process itself."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return generate_latest(state.metrics) + generate_latest(registry)


async def _read_database(sessions: Sessions) -> DatabaseMetrics | None:
    try:
        async with asyncio.timeout(2), transaction(sessions) as session:
            beat = (await system.read_beats(session)).get(CENTRAL)
            return DatabaseMetrics(
                beat,
                await system.read_lags(session),
                await system.read_inbox(session),
                await system.read_deliveries(session),
                await read_vantages(session, beat.figures if beat else {}),
            )
    except Exception:  # a scrape succeeds even while the database is unavailable
        return None
