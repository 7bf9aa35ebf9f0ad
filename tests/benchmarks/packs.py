"""A day of readings of all villages, packed: bytes a reading at rest, what packing and reading cost. `ARGS="packs"`."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot, utc_now
from app.judging import propagation
from app.judging.dirty_range import DirtyRange
from app.measurements import packing, partitions, reader
from app.measurements.recording import record_block
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.registry import providers
from app.registry.regions import REGIONS_CSV
from app.runtime.migrate import migrate
from simulator.history.write import write_history
from simulator.registration import planned_sites, register
from simulator.script import Script
from simulator.villages import PROVIDERS
from tests.benchmarks.history import SIZE
from tests.conftest import make_database

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SITES, RAW_HOURS = 1_038, 26
OF_A_DAY = {
    "rows": "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM measurement "
    "WHERE site_id = :site AND slot >= :low AND slot < :high",
    "packs": "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM reading_pack "
    "WHERE site_id = :site AND hour >= :low AND hour < :high",
}


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
    sessions = open_sessions(engine)
    await migrate(engine)
    async with transaction(sessions) as session:
        await providers.ensure_providers(session, PROVIDERS)
        await register(session, planned_sites(REGIONS_CSV, Script(sites=SITES, nodes=20)))
    began = time.perf_counter()
    await write_history(engine, days=2, raw_hours=RAW_HOURS, say=lambda line: None)
    print(f"history of 2 days, {RAW_HOURS} hours of single readings: {time.perf_counter() - began:.1f} s")
    async with transaction(sessions) as session:
        await partitions.create_ahead(session, utc_now())
        start = (await partitions.read_watermarks(session))["packed"]
    await _unpack(sessions, start)
    await _read(sessions, start, "rows")
    await _size(sessions, "measurement", start)
    await _pack(sessions)
    await _read(sessions, start, "packs")
    await _size(sessions, "reading_pack", start)
    await engine.dispose()


async def _unpack(sessions: Sessions, start: datetime) -> None:
    """Store as rows what the past has in packs."""
    hours = [start + hour * HOUR for hour in range(RAW_HOURS + 1)]
    async with transaction(sessions) as session:
        blocks = [await reader.read_all(session, hour, hour + HOUR) for hour in hours]
        await session.execute(text("TRUNCATE reading_pack"))
    for block in blocks:
        async with transaction(sessions) as session:
            await record_block(session, block)


async def _read(sessions: Sessions, start: datetime, what: str) -> None:
    at = start + 3 * HOUR
    async with transaction(sessions) as session:
        ids = list(await session.scalars(text("SELECT id FROM site ORDER BY id")))
        for name, ranges in (
            ("an hour of all sites", [(site_id, at, at + HOUR) for site_id in ids]),
            ("a day of a site", [(ids[500], start, start + DAY)]),
            ("10 minutes of all sites", [(site_id, at, at + HOUR / 6) for site_id in ids]),
        ):
            await reader.read(session, ranges)
            took, own, block = await _timed(reader.read(session, ranges))
            print(f"{what}: {name}: {took * 1e3:,.1f} ms, own CPU {own * 1e3:,.1f} ms, {len(block):,} readings")
        parameters = {"low": start, "high": start + DAY}
        plans = [
            await session.scalar(text(OF_A_DAY[what]), {"site": site_id, **parameters}) for site_id in ids[500:510]
        ]
        times = sorted(plan[0]["Execution Time"] for plan in plans)
        print(f"{what}: a day of a site, in the database: {times[5]:.2f} ms (median of {len(times)} sites)")
    async with transaction(sessions) as session:
        dirty = [DirtyRange(site_id, at, at + HOUR) for site_id in ids[:1_000]]
        took, own, _ = await _timed(propagation.rejudge_with_children(session, dirty))
        print(f"{what}: an hour of 1,000 sites judged again: {took:.2f} s, own CPU {own:.2f} s")
        await session.rollback()


async def _timed(work: Awaitable[Any]) -> tuple[float, float, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    result = await work
    return time.perf_counter() - began, time.process_time() - cpu, result


async def _pack(sessions: Sessions) -> None:
    began, cpu, steps, longest = time.perf_counter(), time.process_time(), 0, 0.0
    more = True
    while more:
        async with transaction(sessions) as session:
            own = time.process_time()
            more = await packing.pack_rows(session, utc_now())
            longest, steps = max(longest, time.process_time() - own), steps + 1
    took, own = time.perf_counter() - began, time.process_time() - cpu
    async with transaction(sessions) as session:
        packed = await session.scalar(text("SELECT sum(readings) FROM reading_pack")) or 1
    print(
        f"packed {packed:,} readings in {steps} steps: {took:.1f} s, own CPU {1e6 * own / packed:.2f} us a reading, "
        f"a step {longest * 1e3:.0f} ms at most"
    )


async def _size(sessions: Sessions, table: str, start: datetime) -> None:
    """Print bytes a reading over whole days, with the index and TOAST."""
    async with transaction(sessions) as session:
        await session.execute(text(f"ANALYZE {table}"))
        size = float(await session.scalar(text(SIZE.format(table=table))) or 0)
        stored = len(await _all(session, start)) if table == "measurement" else await _packed(session)
        print(f"{table}: {size / 1e6:,.1f} MB, {stored:,} readings, {size / stored:.2f} bytes a reading")


async def _packed(session: AsyncSession) -> int:
    return await session.scalar(text("SELECT sum(readings) FROM reading_pack")) or 0


async def _all(session: AsyncSession, start: datetime) -> Any:
    return await reader.read_all(session, start, from_slot(to_slot(utc_now())))


if __name__ == "__main__":
    main()
