"""Ingest readings of many sites, replace their segments, and rejudge a range of them."""

import asyncio
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from app.core.clock import floor_second, utc_now
from app.judging import ingest, propagation, segments
from app.judging.dirty_range import DirtyRange
from app.judging.segments import SegmentRange
from app.measurements import partitions
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.runtime.migrate import migrate
from probes.contract import Outcome, Reading
from tests.conftest import make_database

SITES = 5_000
MINUTES = 60

REGISTER = """
INSERT INTO provider (slug, name) VALUES ('p', 'P');
INSERT INTO site (code, kind, village_code, name, host, host_static, technology, provider_id, link_role, probe,
    lifecycle, addressed_at, version, created_at, updated_at)
SELECT v.code || '-' || n, 'access_point', v.code, 'x', '127.1.' || n / 250 || '.' || n % 250, true, 'fiber', 1,
    'primary', 'icmp', 'active', '{start}', 1, '{start}', '{start}'
FROM generate_series(1, {sites}) n, (SELECT code FROM region WHERE level = 'desa_kelurahan' LIMIT 1) v;
INSERT INTO site_configuration (site_id, started_at, addressed_at, lifecycle, technology, provider_id, village_code)
SELECT id, addressed_at, addressed_at, lifecycle, technology, provider_id, village_code FROM site;
INSERT INTO site_status (site_id, version, state, unknown_reason, since, valid_s, timeouts, addressed_at)
SELECT id, 1, 'unknown', 'never_seen', addressed_at, 60, 0, addressed_at FROM site
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(_measure(cluster.url))
        finally:
            cluster.stop()


async def _measure(server_url: str) -> None:
    engine = open_engine(await make_database(server_url), name="bench", command_timeout_s=None)
    sessions, start = open_sessions(engine), floor_second(utc_now()) - timedelta(minutes=MINUTES)
    await migrate(engine)
    async with transaction(sessions) as session:
        await partitions.create_ahead(session, utc_now())
        for statement in REGISTER.format(start=start.isoformat(), sites=SITES).split(";"):
            await session.execute(text(statement))
        ids = list(await session.scalars(text("SELECT id FROM site ORDER BY id")))
    await _live(sessions, ids, start)
    await _replace(sessions, ids, start)
    await _rejudge(sessions, ids, start)
    await engine.dispose()


async def _live(sessions: Sessions, ids: list[int], start: datetime) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    for minute in range(MINUTES):
        lost = minute % 40 in {10, 11, 12}
        outcome, rtt_us = (Outcome.TIMEOUT, ()) if lost else (Outcome.OK, (20_000, 21_000, 22_000))
        slot = int(start.timestamp()) + 60 * minute
        async with transaction(sessions) as session:
            await ingest.ingest_readings(session, [(Reading(i, slot, outcome, 3, rtt_us, 60), start) for i in ids])
    took = time.perf_counter() - began
    each = 1e3 * (time.process_time() - cpu) / (SITES * MINUTES)
    print(
        f"live: {SITES * MINUTES:,} readings ingested and judged in {took:.1f} s: {SITES * MINUTES / took:,.0f}/s; "
        f"{each:.3f} ms of our CPU each"
    )


async def _replace(sessions: Sessions, ids: list[int], start: datetime) -> None:
    """Replace every site's latest outage and its neighbours by slightly different segments."""
    latest = dict.fromkeys(ids, SegmentRange(start + timedelta(minutes=41), start + timedelta(minutes=MINUTES)))
    timings = []
    for _ in range(3):
        async with transaction(sessions) as session:
            stored = await segments.read_ranges(session, latest)
            changed = {i: [replace(segment, last_ok_at=start) for segment in before] for i, before in stored.items()}
            began = time.perf_counter()
            await segments.replace_segments(session, stored, changed)
            timings.append(time.perf_counter() - began)
            await session.rollback()
    rows = sum(len(ranges) for ranges in stored.values())
    print(f"replaced {rows:,} segments of {SITES:,} sites in {sorted(timings)[1]:.2f} s (limit 1)")


async def _rejudge(sessions: Sessions, ids: list[int], start: datetime) -> None:
    at = start + timedelta(minutes=70)
    began = time.perf_counter()
    async with transaction(sessions) as session:
        await propagation.rejudge_with_children(session, [DirtyRange(i, at, at + timedelta(minutes=5)) for i in ids])
    print(f"rejudged 5 minutes of {SITES:,} sites in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
