"""Count looks by hour and day once a WITA day is over and its hours are rolled up: counted anew and replaced.

What is behind begins with the oldest single readings that are kept: days before them were not measured this way.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, midnight
from app.core.periods import Period
from app.latency import look_counts, look_sql, rollup_sql
from app.latency.reading_blocks import of_whole_hours, read_counted
from app.latency.rollup_hours import site_hours_of
from app.measurements import corrupt_packs, partitions
from app.postgres.engine import Counter, bump

SITES_A_STEP = 250  # a day of each has 1,440 readings: 0.2 s from packs, a second where the machine is busy
DAY = timedelta(days=1)

COUNT_HOURS, COUNT_DAY = text(look_sql.COUNT_HOURS), text(look_sql.COUNT_DAY)
STAGE = "looks"


class HourOfLooks(NamedTuple):
    """`within`: by LOOK_BOUNDS_MS."""

    looks: int
    lost: int
    within: Sequence[int]


async def count_looks(session: AsyncSession, now: datetime, *, sites_a_step: int = SITES_A_STEP) -> bool:
    """Do the next step; return False when nothing is left to do. A step that runs twice changes nothing."""
    await session.execute(rollup_sql.PLANNER_SETTINGS)
    hours = (await session.execute(rollup_sql.LOCK_WATERMARK, {"stage": "hours"})).one()
    counted = (await session.execute(rollup_sql.LOCK_WATERMARK, {"stage": STAGE})).one()
    oldest = await partitions.oldest_reading_at(session) or hours.upto
    day, after = counted.upto.astimezone(WITA).date(), counted.site_id
    if counted.upto < oldest:
        day, after = oldest.astimezone(WITA).date(), 0
    if midnight(day + DAY) > min(hours.upto, now):
        return False
    sites = (await session.scalars(rollup_sql.NEXT_SITES, {"after": after, "limit": sites_a_step})).all()
    if sites:
        await count_day(session, day, sites)
        await _set_watermark(session, midnight(day), sites[-1])
    else:
        await _set_watermark(session, midnight(day + DAY), 0)
        await bump(session, Counter.ROLLUP)
    return True


async def recount(session: AsyncSession, sites_by_day: Mapping[date, Sequence[int]]) -> None:
    """Count the looks of these days again, of those that are counted. Call it with the hours that became stale."""
    counted = (await session.execute(rollup_sql.LOCK_WATERMARK, {"stage": STAGE})).one()
    for day, sites in sorted(sites_by_day.items()):
        if midnight(day) <= counted.upto:  # of a day that is half counted, some sites are
            for first in range(0, len(sites), SITES_A_STEP):
                await count_day(session, day, sites[first : first + SITES_A_STEP])


async def count_day(session: AsyncSession, day: date, sites: Sequence[int]) -> None:
    first, last = midnight(day), midnight(day + DAY)
    async with corrupt_packs.noting(session, sites) as damaged:
        async for block, sent in read_counted(session, [(site_id, first, last) for site_id in sites]):
            is_whole = of_whole_hours(block, damaged)
            counts = look_counts.count_looks(block.take(is_whole), sent[is_whole])
            within = {name: column.tolist() for name, column in zip(look_sql.WITHIN, counts.within.T, strict=True)}
            numbers = {"looks": counts.looks.tolist(), "lost": counts.lost.tolist(), **within}
            await session.execute(COUNT_HOURS, {**site_hours_of(counts.cell), **numbers})
    await session.execute(COUNT_DAY, {"day": day, "first": first, "last": last, "sites": list(sites)})


async def hours_of_site(session: AsyncSession, site_id: int, period: Period) -> dict[datetime, HourOfLooks]:
    """Count a site's looks by hour from its single readings now, whether or not they are counted already."""
    hours: dict[datetime, HourOfLooks] = {}
    async for block, sent in read_counted(session, [(site_id, period.start, period.end)]):
        counts = look_counts.count_looks(block, sent)
        numbers = zip(counts.looks.tolist(), counts.lost.tolist(), counts.within.tolist(), strict=True)
        hours |= zip(site_hours_of(counts.cell)["hour"], itertools.starmap(HourOfLooks, numbers), strict=True)
    return hours


async def _set_watermark(session: AsyncSession, upto: datetime, site_id: int) -> None:
    await session.execute(rollup_sql.SET_WATERMARK, {"stage": STAGE, "upto": upto, "site_id": site_id})
