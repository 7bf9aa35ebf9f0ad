"""What the published method reads, written as rows: speed tests, and looks by hour."""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, midnight
from app.latency import look_sql
from app.latency.look_counts import LOOK_BOUNDS_MS
from tests.support.site_histories import execute

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TESTS = text("""
    INSERT INTO throughput_test (site_id, planned_at, month, mode, status, reason, technology, provider_id,
        village_code, contract_down_mbps, contract_up_mbps, allowed_down_bytes, allowed_up_bytes, max_s, reserved_bytes,
        waits_until, started_at, down_bytes, up_bytes, down_mbps, up_mbps)
    SELECT s.id, at, date_trunc('month', at AT TIME ZONE 'Asia/Makassar')::date, cast(:mode AS text),
        cast(:status AS text), cast(:reason AS text), s.technology, s.provider_id, s.village_code,
        cast(:contract_down AS float), cast(:contract_up AS float), 1, 1, 10, 0, at,
        CASE WHEN cast(:status AS text) = 'skipped' THEN NULL ELSE at END, 1, 1,
        cast(:down AS float), cast(:up AS float)
    FROM site s, generate_series(
        cast(:first AS timestamptz), cast(:first AS timestamptz) + (cast(:count AS int) - 1) * cast(:every AS interval),
        cast(:every AS interval)
    ) AS at WHERE s.id = :site
""")


async def add_tests(
    session: AsyncSession, site: int, first: datetime, count: int, *, every: timedelta = HOUR, **changes: Any
) -> None:
    """Write so many tests, by default pushed, done, and as fast as a contract of 20 and 10 Mbps."""
    values = {"mode": "push", "status": "done", "reason": None, "contract_down": 20, "contract_up": 10}
    rates = {"down": 20, "up": 10} if changes.get("status", "done") == "done" else {"down": None, "up": None}
    row = values | rates | changes | {"site": site, "first": first, "count": count, "every": every}
    async with session.begin():
        await session.execute(TESTS, row)


async def add_looks(
    session: AsyncSession, site: int, start: datetime, end: datetime, *, late: int = 0, lost: int = 0
) -> None:
    """Write 60 looks an hour from start to end: so many lost, so many beyond every bound, the others within all."""
    within = [60 - late - lost] * len(LOOK_BOUNDS_MS)
    await execute(
        session,
        "INSERT INTO look_hour (site_id, hour, looks, lost, within) SELECT :site, hour, 60, :lost, :within "
        "FROM generate_series(cast(:start AS timestamptz), cast(:last AS timestamptz), interval '1 hour') AS hour "
        "ON CONFLICT (site_id, hour) DO UPDATE SET lost = excluded.lost, within = excluded.within",
        site=site,
        lost=lost,
        within=within,
        start=start,
        last=end - HOUR,
    )


async def sum_days(session: AsyncSession, sites: list[int], start: datetime, end: datetime) -> None:
    """Count the days of the hours that were written, as the worker does."""
    day: date = start.astimezone(WITA).date()
    async with session.begin():
        while midnight(day) < end:
            bounds = {"first": midnight(day), "last": midnight(day + DAY), "day": day, "sites": sites}
            await session.execute(text(look_sql.COUNT_DAY), bounds)
            day += DAY
