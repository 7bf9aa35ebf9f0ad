"""Rolls readings up into hours, days and regions: counted anew and replaced, never added to.

One step a call, one transaction a step:

1. Close an hour that is over, alone in its transaction, so that writers of readings wait only for that.
2. Count the closed hour's sites, some thousand a step.
3. Once a WITA day's hours are there, merge them into the day, site by site.
4. With its last site, merge the day of all regions; with the month's last day, their month.
5. With nothing else to do, count stale hours again, and all that contains them, in the transaction that deletes their
   rows from `stale_hour`.

A step that runs twice, or dies half-way, changes nothing.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import is_rolled_up
from app.core.clock import WITA, midnight
from app.core.periods import first_of_next_month
from app.latency import looks, rollup_hours, rollup_sql
from app.postgres.engine import Counter, bump
from app.registry.regions import names

SITES_A_STEP = 10_000  # about a second, in statements of some hundred sites
REGIONS_A_STATEMENT = 20
STALE_A_STEP = 5_000
CLOSES_AFTER = timedelta(seconds=30)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def roll_up(session: AsyncSession, now: datetime, *, sites_a_step: int = SITES_A_STEP) -> bool:
    """Do the next step; return False when nothing is left to do. Call it again, in a new transaction, while True.

    Concurrent calls wait for each other.
    """
    await session.execute(rollup_sql.PLANNER_SETTINGS)
    hours, days = await _lock_watermark(session, "hours"), await _lock_watermark(session, "days")
    closed: datetime = await session.scalar(rollup_sql.READ_CLOSED)
    if days.upto + DAY <= hours.upto:
        await _advance_day(session, days, sites_a_step)
    elif hours.upto < closed:
        await _advance_hour(session, hours, sites_a_step)
    elif closed + HOUR + CLOSES_AFTER <= now:
        await session.execute(rollup_sql.CLOSE, {"upto": closed + HOUR})
    else:
        return await _recount_stale_hours(session, days.upto)
    return True


async def invalidate(
    session: AsyncSession, start: datetime, end: datetime, *, site_ids: Collection[int] | None = None
) -> int:
    """Mark the closed hours stale in which a reading that lost packets overlaps this range; return how many.

    Call it in the transaction that records a blind range, or changes what is held of suspects.
    """
    return await rollup_hours.mark_stale(session, start, end, site_ids=site_ids)


async def _lock_watermark(session: AsyncSession, stage: str) -> Any:
    return (await session.execute(rollup_sql.LOCK_WATERMARK, {"stage": stage})).one()


async def _advance_hour(session: AsyncSession, watermark: Any, sites_a_step: int) -> None:
    site_ids = await _next_sites(session, watermark.site_id, sites_a_step)
    if not site_ids:
        return await _set_watermark(session, "hours", watermark.upto + HOUR)
    await rollup_hours.roll_up(session, [(site_id, watermark.upto) for site_id in site_ids])
    return await _set_watermark(session, "hours", watermark.upto, site_id=site_ids[-1])


async def _advance_day(session: AsyncSession, watermark: Any, sites_a_step: int) -> None:
    day = watermark.upto.astimezone(WITA).date()
    site_ids = await _next_sites(session, watermark.site_id, sites_a_step)
    if site_ids:
        await roll_up_day(session, day, site_ids)
        return await _set_watermark(session, "days", watermark.upto, site_id=site_ids[-1])
    await roll_up_region_day(session, day, rolled_up_regions())
    if (day + DAY).day == 1:
        await roll_up_region_month(session, day.replace(day=1), rolled_up_regions())
    return await _set_watermark(session, "days", watermark.upto + DAY)


async def _next_sites(session: AsyncSession, after: int, limit: int) -> Sequence[int]:
    return (await session.scalars(rollup_sql.NEXT_SITES, {"after": after, "limit": limit})).all()


async def _set_watermark(session: AsyncSession, stage: str, upto: datetime, *, site_id: int = 0) -> None:
    await session.execute(rollup_sql.SET_WATERMARK, {"stage": stage, "upto": upto, "site_id": site_id})


async def _recount_stale_hours(session: AsyncSession, days_upto: datetime) -> bool:
    """Count some stale hours again, and the days, regions and months that hold them; return False if there are none.

    A writer that marks one of these hours meanwhile waits for this transaction's end: its rows are counted next time.
    """
    marks = (await session.execute(rollup_sql.TAKE_STALE, {"limit": STALE_A_STEP})).all()
    if not marks:
        return False
    await rollup_hours.roll_up(session, [(mark.site_id, mark.hour) for mark in marks])
    sites_by_day: dict[date, set[int]] = {}
    for mark in marks:
        sites_by_day.setdefault(mark.hour.astimezone(WITA).date(), set()).add(mark.site_id)
    await looks.recount(session, {day: sorted(site_ids) for day, site_ids in sites_by_day.items()})
    regions_by_month: dict[date, set[str]] = {}
    for day, site_ids in sorted(sites_by_day.items()):
        if midnight(day) < days_upto:
            await roll_up_day(session, day, sorted(site_ids))
            regions = list(await session.scalars(rollup_sql.REGIONS_OF_SITES, {"sites": sorted(site_ids)}))
            await roll_up_region_day(session, day, regions)
            regions_by_month.setdefault(day.replace(day=1), set()).update(regions)
    for month, codes in sorted(regions_by_month.items()):
        if midnight(first_of_next_month(month)) <= days_upto:
            await roll_up_region_month(session, month, sorted(codes))
    await bump(session, Counter.ROLLUP)
    return True


async def roll_up_day(session: AsyncSession, day: date, site_ids: Sequence[int]) -> None:
    bounds = {"first": midnight(day), "last": midnight(day + DAY)}
    await session.execute(rollup_sql.ROLL_UP_DAY, {"day": day, **bounds, "sites": site_ids})


async def roll_up_region_day(session: AsyncSession, day: date, regions: Sequence[str]) -> None:
    parameters = {"day": day, "regions": regions}
    await session.execute(rollup_sql.CLEAR_REGION_DAY, parameters)
    await session.execute(rollup_sql.ROLL_UP_REGION_DAY, {**parameters, "last": midnight(day + DAY)})


async def roll_up_region_month(session: AsyncSession, month: date, regions: Sequence[str]) -> None:
    """A statement takes some regions only: all at once would take it about ten seconds."""
    for first in range(0, len(regions), REGIONS_A_STATEMENT):
        parameters = {"month": month, "regions": regions[first : first + REGIONS_A_STATEMENT]}
        await session.execute(rollup_sql.CLEAR_REGION_MONTH, parameters)
        await session.execute(rollup_sql.ROLL_UP_REGION_MONTH, {**parameters, "next": first_of_next_month(month)})


def rolled_up_regions() -> list[str]:
    return sorted(code for code in names() if is_rolled_up(code))
