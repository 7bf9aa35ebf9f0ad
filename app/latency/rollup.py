"""From readings to hours, days and regions: counted anew and replaced, never added to.

One step a call, one transaction a step. An hour is closed first, by itself, so that nobody who records waits for the
count. Then its sites are counted, so many a step; a WITA day follows once its hours are there, its regions with its
last site, their month with its last day. Hours that became stale are counted again with all that contains them, in
the transaction that takes their mark away. A step that is done twice, or dies half-way, changes nothing.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, midnight
from app.latency import rollup_sql
from app.postgres.engine import Counter, bump
from app.registry.regions import names

SITES_A_STEP = 10_000  # about 2 s; a connection gives a statement 15
REGIONS_A_STATEMENT = 20
STALE_A_STEP = 5_000
CLOSES_AFTER = timedelta(seconds=30)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def roll_up(session: AsyncSession, now: datetime, *, sites_a_step: int = SITES_A_STEP) -> bool:
    """Does the next step, if there is one: False when all is counted. Call it again, in a new transaction, while True.

    Two at once wait for each other.
    """
    await session.execute(rollup_sql.ROOM)
    hours, days = await _reached(session, "hours"), await _reached(session, "days")
    closed: datetime = await session.scalar(rollup_sql.CLOSED)
    if days.upto + DAY <= hours.upto:
        await _roll_day(session, days, sites_a_step)
    elif hours.upto < closed:
        await _roll_hour(session, hours, sites_a_step)
    elif closed + HOUR + CLOSES_AFTER <= now:
        await session.execute(rollup_sql.CLOSE, {"upto": closed + HOUR})
    else:
        return await _recount(session, days.upto)
    return True


async def reopen(
    session: AsyncSession, start: datetime, end: datetime, *, site_ids: Collection[int] | None = None
) -> int:
    """Has the closed hours counted again in which a loss touches this stretch: call it where blindness is recorded, in
    the same transaction. Answers how many were marked."""
    given = {"start": start, "end": end, "sites": None if site_ids is None else sorted(site_ids)}
    return len((await session.execute(rollup_sql.REOPEN, given)).all())


async def _reached(session: AsyncSession, stage: str) -> Any:
    return (await session.execute(rollup_sql.REACHED, {"stage": stage})).one()


async def _roll_hour(session: AsyncSession, reached: Any, sites_a_step: int) -> None:
    sites = await _next_sites(session, reached.site_id, sites_a_step)
    if not sites:
        return await _advance(session, "hours", reached.upto + HOUR)
    span = {"first": reached.upto, "last": reached.upto + HOUR}
    await session.execute(rollup_sql.ROLL_HOUR, {**span, "after": reached.site_id, "upto": sites[-1]})
    return await _advance(session, "hours", reached.upto, site_id=sites[-1])


async def _roll_day(session: AsyncSession, reached: Any, sites_a_step: int) -> None:
    day = reached.upto.astimezone(WITA).date()
    sites = await _next_sites(session, reached.site_id, sites_a_step)
    if sites:
        await count_day(session, day, sites)
        return await _advance(session, "days", reached.upto, site_id=sites[-1])
    await count_region_day(session, day, every_region())
    if (day + DAY).day == 1:
        await count_region_month(session, day.replace(day=1), every_region())
    return await _advance(session, "days", reached.upto + DAY)


async def _next_sites(session: AsyncSession, after: int, limit: int) -> Sequence[int]:
    return (await session.scalars(rollup_sql.NEXT_SITES, {"after": after, "limit": limit})).all()


async def _advance(session: AsyncSession, stage: str, upto: datetime, *, site_id: int = 0) -> None:
    await session.execute(rollup_sql.ADVANCE, {"stage": stage, "upto": upto, "site_id": site_id})


async def _recount(session: AsyncSession, counted: datetime) -> bool:
    """Takes some marks away and counts what they stand for. Whoever marks one of these hours again in the meantime
    waits for our end, so that his rows are counted next time."""
    marks = (await session.execute(rollup_sql.TAKE_STALE, {"limit": STALE_A_STEP})).all()
    if not marks:
        return False
    given = {"sites": [mark.site_id for mark in marks], "hours": [mark.hour for mark in marks]}
    span = {"first": min(given["hours"]), "last": max(given["hours"]) + HOUR}
    await session.execute(rollup_sql.RECOUNT_HOURS, {**given, **span})
    sites_by_day: dict[date, set[int]] = {}
    for mark in marks:
        sites_by_day.setdefault(mark.hour.astimezone(WITA).date(), set()).add(mark.site_id)
    months: dict[date, set[str]] = {}
    for day, sites in sorted(sites_by_day.items()):
        if midnight(day) < counted:
            await count_day(session, day, sorted(sites))
            touched = list(await session.scalars(rollup_sql.REGIONS, {"sites": sorted(sites)}))
            await count_region_day(session, day, touched)
            months.setdefault(day.replace(day=1), set()).update(touched)
    for month, codes in sorted(months.items()):
        if midnight(_next_month(month)) <= counted:
            await count_region_month(session, month, sorted(codes))
    await bump(session, Counter.ROLLUP)
    return True


async def count_day(session: AsyncSession, day: date, sites: Sequence[int]) -> None:
    span = {"first": midnight(day), "last": midnight(day + DAY)}
    await session.execute(rollup_sql.ROLL_DAY, {"day": day, **span, "sites": sites})


async def count_region_day(session: AsyncSession, day: date, regions: Sequence[str]) -> None:
    given = {"day": day, "regions": regions}
    await session.execute(rollup_sql.CLEAR_REGION_DAY, given)
    await session.execute(rollup_sql.ROLL_REGION_DAY, {**given, "last": midnight(day + DAY)})


async def count_region_month(session: AsyncSession, month: date, regions: Sequence[str]) -> None:
    """Some regions a statement: all at once would be about ten seconds of work."""
    for first in range(0, len(regions), REGIONS_A_STATEMENT):
        given = {"month": month, "regions": regions[first : first + REGIONS_A_STATEMENT]}
        await session.execute(rollup_sql.CLEAR_REGION_MONTH, given)
        await session.execute(rollup_sql.ROLL_REGION_MONTH, {**given, "next": _next_month(month)})


def _next_month(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def every_region() -> list[str]:
    return sorted(code for code in names() if len(code) <= len("64.02.05"))
