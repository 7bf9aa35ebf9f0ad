"""Rollups at full size: query a year of 1,038 sites, roll up an hour of 100,000 sites, check a million packets.

python -m tests.benchmarks.rollups [year|hour|exact]. Everything runs in temporary databases of a cluster of its own.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SingleSite, SiteGroup
from app.core.clock import midnight
from app.core.periods import Period, Step
from app.latency import histogram_sql, rollup_sql
from app.latency.rollup import roll_up, roll_up_region_day, roll_up_region_month, rolled_up_regions
from app.latency.store import REPLAN, plan_query, read_latency, read_progress
from app.measurements import partitions
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.profiles import Technology
from app.runtime.migrate import migrate
from tests.conftest import make_database
from tests.support.histogram import Histogram, bucket_rows_of_readings, summary_of
from tests.support.measured_sites import TECHNOLOGIES, percentile, rtt_us

YEAR, FIRST, LAST = 365, date(2025, 1, 1), date(2026, 1, 1)
SITES = 1_038
KINDS = "(ARRAY['fiber','fiber','fiber','geo','leo','cellular','radio'])"

MAKE_SITES = """
    INSERT INTO site (code, kind, village_code, name, host_static, technology, provider_id, link_role, probe, lifecycle,
        addressed_at, version, created_at, updated_at)
    SELECT v.code || '-' || n, 'access_point', v.code, 'site', true, {kinds}[1 + n % 7], 1 + n % 5, 'primary', 'push',
        'active', :start, 1, :start, :start
    FROM generate_series(1, :sites) AS n JOIN
        (SELECT code, row_number() OVER (ORDER BY md5(code)) AS place, count(*) OVER () AS all FROM region
         WHERE level = 'desa_kelurahan') v ON v.place = 1 + n % v.all
"""
CONFIGURE = """
    INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, village_code)
    SELECT id, :start, 'active', technology, provider_id, :start, village_code FROM site
"""
# Round trips of a technology: jitter around a site's own level, with a long tail.
PACKET = "(1000 * base * (1 + random() * random() / 4 + CASE WHEN random() < 0.03 THEN random() * 4 ELSE 0 END))::int"
BASES = "(VALUES ('fiber', 12), ('radio', 16), ('cellular', 45), ('leo', 32), ('geo', 560)) AS kind(technology, base)"
HOURS_PER_TECHNOLOGY = 300
MAKE_HOURS = f"""
    CREATE TABLE technology_hour AS
    SELECT row_number() OVER (PARTITION BY technology) - 1 AS number, h.* FROM ({
    histogram_sql.histograms_of_bucket_rows(
        bucket_rows_of_readings(
            '''(
        SELECT technology, sample, 3 AS sent, CASE WHEN random() < 0.01 THEN '{}' ELSE
            ARRAY[PACKET, PACKET, PACKET] END AS rtt_us
        FROM (SELECT technology, sample, base * (0.9 + 0.02 * (sample % 11)) AS base, slot FROM BASES,
            generate_series(0, 299) AS sample, generate_series(1, 60) AS slot) p)'''.replace("PACKET", PACKET).replace(
                "BASES", BASES
            ),
            "technology, sample",
        ),
        "technology, sample",
    )
}) h
"""
MAKE_YEAR = f"""
    INSERT INTO rollup_hour (site_id, hour, {histogram_sql.COLUMNS})
    SELECT s.id, hour, {histogram_sql.COLUMNS}
    FROM generate_series(cast(:low AS timestamptz), :high, '1 hour') AS hour CROSS JOIN site s
    JOIN technology_hour k ON k.technology = s.technology
        AND k.number = (s.id * 7 + extract(epoch FROM hour)::bigint / 3600 * 13) % {HOURS_PER_TECHNOLOGY}
"""
MAKE_READINGS = f"""
    INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us)
    SELECT id, slot, 'central', CASE WHEN lost THEN 'timeout' ELSE 'ok' END, 3, 60,
        CASE WHEN lost THEN '{{}}' ELSE ARRAY[{PACKET}, {PACKET}, {PACKET}] END
    FROM (SELECT s.id, base * (0.9 + 0.02 * (s.id % 11)) AS base, random() < 0.01 AS lost,
            cast(:hour AS timestamptz) + make_interval(mins => minute, secs => s.id % 60) AS slot
          FROM generate_series(0, 59) AS minute, site s JOIN {BASES} USING (technology)) r
    WHERE id BETWEEN 1 AND 1000000
"""


@asynccontextmanager
async def database() -> AsyncIterator[Sessions]:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        engine = open_engine(await make_database(cluster.url), name="benchmark", command_timeout_s=None)
        try:
            await migrate(engine)
            yield open_sessions(engine)
        finally:
            await engine.dispose()
            cluster.stop()


async def execute(sessions: Sessions, statement: str, **values: Any) -> Any:
    async with transaction(sessions) as session:
        result = await session.execute(text(statement), values)
        return result.all() if result.returns_rows else None  # type: ignore[attr-defined]


async def register(sessions: Sessions, sites: int) -> None:
    await execute(sessions, "INSERT INTO provider (slug, name) SELECT 'p' || n, 'p' || n FROM generate_series(1, 5) n")
    await execute(sessions, MAKE_SITES.format(kinds=KINDS), sites=sites, start=midnight(FIRST))
    await execute(sessions, CONFIGURE, start=midnight(FIRST))
    await execute(sessions, "ANALYZE site")


async def year() -> None:
    async with database() as sessions:
        began = time.monotonic()
        await fill(sessions)
        print(f"a year of {SITES} sites written in {time.monotonic() - began:.0f} s")
        await sizes(sessions, "rollup_hour", "rollup_day", "region_day", "region_month")
        await query_past(sessions)
        await query_now(sessions)


async def fill(sessions: Sessions) -> None:
    await register(sessions, SITES)
    await execute(sessions, MAKE_HOURS)
    for number in range(YEAR):
        low = midnight(FIRST + timedelta(days=number))
        await execute(sessions, MAKE_YEAR, low=low, high=low + timedelta(hours=23))
    for table in ("technology_hour", "rollup_hour", "site", "site_configuration"):
        await execute(sessions, f"ANALYZE {table}")
    sites = list(range(1, SITES + 1))
    for number in range(YEAR):
        day = FIRST + timedelta(days=number)
        async with transaction(sessions) as session:
            span = {"first": midnight(day), "last": midnight(day + timedelta(days=1))}
            await session.execute(rollup_sql.ROLL_UP_DAY, {"day": day, **span, "sites": sites})
            await roll_up_region_day(session, day, rolled_up_regions())
        if number == 30:
            await execute(sessions, "ANALYZE rollup_day")
    await execute(sessions, "ANALYZE rollup_day")
    await execute(sessions, "ANALYZE region_day")
    for month in range(1, 13):
        async with transaction(sessions) as session:
            await roll_up_region_month(session, date(2025, month, 1), rolled_up_regions())
    await execute(sessions, "UPDATE rollup_watermark SET upto = :last", last=midnight(LAST))
    for table in ("rollup_hour", "rollup_day", "region_day", "region_month"):
        async with sessions() as session:
            connection = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            await connection.execute(text(f"VACUUM ANALYZE {table}"))


async def sizes(sessions: Sessions, *tables: str) -> None:
    for table in tables:
        ((rows, heap, index),) = await execute(
            sessions, f"SELECT count(*), pg_table_size('{table}'), pg_indexes_size('{table}') FROM {table}"
        )
        print(
            f"{table:<14} {rows:>10,} rows, {heap / rows:6.0f} + {index / rows:4.0f} bytes a row, "
            f"{(heap + index) / 2**20:7.0f} MB"
        )


async def query_past(sessions: Sessions) -> None:
    whole = Period(midnight(FIRST), midnight(LAST))
    month = Period(midnight(date(2025, 6, 1)), midnight(date(2025, 7, 1)))
    districts = [code for code in rolled_up_regions() if len(code) == len("64.02")]
    geo, geo_of_provider = SiteGroup("64", None, Technology.GEO), SiteGroup("64", 2, Technology.GEO)
    last = Period(month.end - timedelta(days=1), month.end)
    print(f"{'median of 15, warm':<44}{'statement ms':>14}{'total ms':>10}{'limit':>8}")
    await row(sessions, "site-month by hour", [SingleSite(500)], month, Step.HOUR, 10)
    await row(sessions, "province-year by day", [SiteGroup("64")], whole, Step.DAY, 50)
    await row(
        sessions, "province-year, each of ten districts", [SiteGroup(d) for d in districts], whole, Step.MONTH, 50
    )
    await row(sessions, "province-year by day, one provider, geo", [geo_of_provider], whole, Step.DAY, 50)
    await row(sessions, "province-year by month, geo", [geo], whole, Step.MONTH, 50)
    await row(sessions, "district-day by hour", [SiteGroup("64.02")], last, Step.HOUR)
    await row(sessions, "province-day by hour", [SiteGroup("64")], last, Step.HOUR)


async def query_now(sessions: Sessions) -> None:
    """Query as a dashboard does ten hours into a day, whose running hour is in single readings."""
    now = midnight(LAST) + timedelta(hours=11)
    running = now - timedelta(hours=1)
    async with transaction(sessions) as session:
        await partitions.create_past(session, midnight(LAST), now)
    await execute(sessions, MAKE_YEAR, low=midnight(LAST), high=running - timedelta(hours=1))
    await execute(sessions, MAKE_READINGS, hour=running)
    await execute(sessions, "UPDATE rollup_watermark SET upto = :at WHERE stage <> 'days'", at=running)
    for table in ("rollup_hour", "measurement"):
        await execute(sessions, f"ANALYZE {table}")
    day, long = Period(now - timedelta(days=1), now), Period(now - timedelta(days=YEAR), now)
    print("with the running hour and day")
    await row(sessions, "site, 24 h by hour", [SingleSite(500)], day, Step.HOUR)
    await row(sessions, "district, 24 h by hour", [SiteGroup("64.02")], day, Step.HOUR)
    await row(sessions, "province, 24 h by hour", [SiteGroup("64")], day, Step.HOUR)
    await row(sessions, "province, 365 days by day", [SiteGroup("64")], long, Step.DAY)


async def row(
    sessions: Sessions, name: str, selections: list[Any], period: Period, step: Step, limit_ms: float | None = None
) -> None:
    statement_ms = await timed(sessions, lambda session: _statements(session, selections, period, step))
    all_ms = await timed(sessions, lambda session: _answers(session, selections, period, step))
    print(f"{name:<44}{statement_ms:>14.1f}{all_ms:>10.1f}{limit_ms or '-':>8}", flush=True)


async def _statements(session: AsyncSession, selections: list[Any], period: Period, step: Step) -> float:
    spent = 0.0
    await session.execute(REPLAN)
    for sites in selections:
        progress, began = await read_progress(session, sites, period), time.perf_counter()
        query = await plan_query(session, sites, period, step, progress)
        (await session.execute(text(query.sql), query.parameters)).all()
        spent += time.perf_counter() - began
    return spent


async def _answers(session: AsyncSession, selections: list[Any], period: Period, step: Step) -> float:
    began = time.perf_counter()
    for sites in selections:
        await read_latency(session, sites, period, step)
    return time.perf_counter() - began


async def timed(sessions: Sessions, run: Callable[[AsyncSession], Awaitable[float]]) -> float:
    found = []
    for _ in range(18):
        async with transaction(sessions) as session:
            found.append(await run(session))
    return 1000 * statistics.median(found[3:])


async def hour(sites: int = 100_000) -> None:
    async with database() as sessions:
        await register(sessions, sites)
        start = midnight(LAST) + timedelta(hours=5)
        async with transaction(sessions) as session:
            await partitions.create_past(session, midnight(LAST), start + timedelta(hours=1))
        for earlier in (1, 0):
            await execute(sessions, MAKE_READINGS, hour=start - timedelta(hours=earlier))
        await execute(sessions, "ANALYZE measurement")
        await sizes(sessions, partitions.hour_of(start).name)
        await execute(sessions, "UPDATE rollup_watermark SET upto = :at WHERE stage <> 'days'", at=start)
        await execute(sessions, "UPDATE rollup_watermark SET upto = :at WHERE stage = 'days'", at=midnight(LAST))
        began, steps = time.monotonic(), [0.0]
        more = True
        while more:
            async with transaction(sessions) as session:
                before = time.monotonic()
                more = await roll_up(session, start + timedelta(hours=1, seconds=30))
            steps.append(time.monotonic() - before)
        took = time.monotonic() - began
        print(f"an hour of {sites:,} sites, {60 * sites:,} readings: {took:.1f} s (limit 30), step {max(steps):.1f} s")
        await sizes(sessions, "rollup_hour")


def exact(packets: int = 1_000_000) -> None:
    """Compare percentiles of PostgreSQL's histograms with exact ones and with Python's histogram, by technology."""
    asyncio.run(_exact(packets))


async def _exact(packets: int) -> None:
    random_source = random.Random(11)
    rtts = {name: [rtt_us(name, random_source) for _ in range(packets // 5)] for name in TECHNOLOGIES}
    worst = 0.0
    async with database() as sessions:
        print(f"{packets:,} packets{'':<10}{'p50':>24}{'p95':>24}{'p99':>24}   exact / histogram in ms")
        for name, found in {**rtts, "all": [rtt for some in rtts.values() for rtt in some]}.items():
            async with transaction(sessions) as session:
                estimate = await summary_of(session, found)
            twin, line = Histogram.of(found), ""
            for label, q in histogram_sql.QUANTILES.items():
                estimated_ms, exact_ms = getattr(estimate, label) / 1000, percentile(found, q) / 1000
                assert abs(estimated_ms * 1000 - (twin.quantile(q) or 0)) < 1e-3
                worst = max(worst, abs(estimated_ms - exact_ms) / exact_ms)
                line += f"{exact_ms:>14.3f} /{estimated_ms:>8.3f}"
            print(f"{name:<20}{line}")
    print(f"largest relative error {worst:.2%} (limit 2%)")


PARTS: dict[str, Callable[[], None]] = {
    "exact": exact,
    "hour": lambda: asyncio.run(hour()),
    "year": lambda: asyncio.run(year()),
}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
