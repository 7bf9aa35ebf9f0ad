"""How fast the worker consumes the push inbox: single rows of many sites, and late batches."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import text

from app.core.clock import floor_second, to_slot, utc_now
from app.measurements import partitions
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.push import inbox
from app.push.inbox import Delivery
from app.runtime.migrate import migrate
from app.worker.counters import WorkerCounters
from app.worker.inbox_consumer import InboxConsumer
from app.worker.ingest_heartbeat import IngestHeartbeat
from app.worker.ingest_proof import IngestProof
from app.worker.judging_session import JudgingSessions
from probes.contract import AGENT, Outcome, Reading
from tests.benchmarks.segments import REGISTER
from tests.conftest import make_database

SITES = 5_000
ROUNDS = 6
LATE_SITES, LATE_ROWS = 500, 60


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(_measure(cluster.url))
        finally:
            cluster.stop()


async def _measure(server_url: str) -> None:
    engine = open_engine(await make_database(server_url), name="bench", command_timeout_s=None)
    sessions, start = open_sessions(engine), floor_second(utc_now()) - timedelta(hours=6)
    await migrate(engine)
    async with transaction(sessions) as session:
        await partitions.create_ahead(session, utc_now())
        for statement in REGISTER.replace("'icmp'", "'push'").format(start=start.isoformat(), sites=SITES).split(";"):
            await session.execute(text(statement))
        ids = list(await session.scalars(text("SELECT id FROM site ORDER BY id")))
    now = to_slot(utc_now())
    for minute in range(ROUNDS):
        await _put(sessions, [Delivery.of_site(i, utc_now(), [_row(now - 600 + 60 * minute + i % 60)]) for i in ids])
    await _drain(sessions, start, f"live: {SITES * ROUNDS:,} rows of {SITES:,} sites, one a push")
    late = [
        Delivery.of_site(i, utc_now(), [_row(now - 4 * 3600 + 60 * n) for n in range(LATE_ROWS)])
        for i in ids[:LATE_SITES]
    ]
    await _put(sessions, late)
    await _drain(sessions, start, f"late: {LATE_SITES:,} sites' {LATE_ROWS} rows each, of four hours ago")
    await _put(
        sessions,
        [
            Delivery.of_site(i, utc_now(), [_row(now - 4 * 3600 + 60 * n) for n in range(3 * LATE_ROWS)])
            for i in ids[LATE_SITES : LATE_SITES + 200]
        ],
    )
    await _drain(sessions, start, f"late: 200 sites' {3 * LATE_ROWS} rows each, of four hours ago")
    await engine.dispose()


def _row(slot: int) -> Reading:
    return Reading(0, slot, Outcome.OK, 3, (20_000, 21_000, 22_000), 60, source=AGENT)


async def _put(sessions: Sessions, deliveries: Sequence[Delivery]) -> None:
    async with transaction(sessions) as session:
        await inbox.enqueue(session, deliveries)


async def _drain(sessions: Sessions, start: datetime, name: str) -> None:
    consumer = InboxConsumer(
        JudgingSessions(sessions), WorkerCounters(), IngestHeartbeat("http://127.0.0.1:9"), IngestProof(start)
    )
    began, cpu, longest, more = time.perf_counter(), time.process_time(), 0.0, True
    while more:
        step = time.perf_counter()
        _, more = await consumer.step()
        longest = max(longest, time.perf_counter() - step)
    took, rows = time.perf_counter() - began, consumer.counters.pushed_rows
    each = 1e3 * (time.process_time() - cpu) / rows
    print(
        f"{name}: {rows:,} ingested and judged in {took:.1f} s: {rows / took:,.0f}/s; "
        f"{each:.3f} ms of our CPU each; longest transaction: {longest:.2f} s"
    )
