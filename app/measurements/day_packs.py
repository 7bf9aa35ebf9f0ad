"""Merges the packs of an old WITA day into one a site and source, where readings are kept that long.

It saves what each pack has around it, a tenth; nothing is read by the hour any more that is so old. One step a call.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements import pack_store, partitions
from app.measurements.partitions import DAY, PACKS

AFTER = timedelta(seconds=pack_store.DAYS_AFTER_S) + DAY  # readers look for packs of days only so far back
SITES_A_STEP = 100

LOCK_WATERMARK = text("SELECT upto, site_id FROM rollup_watermark WHERE stage = 'day_packs' FOR UPDATE")
SET_WATERMARK = text("UPDATE rollup_watermark SET upto = :upto, site_id = :site_id WHERE stage = 'day_packs'")
LAST_SITE = text("""
    SELECT max(site_id) FROM (
        SELECT DISTINCT site_id FROM reading_pack WHERE hour >= :day AND hour < :end AND site_id > :after
        ORDER BY site_id LIMIT :limit
    ) p
""")


async def pack_days(session: AsyncSession, now: datetime, *, sites_a_step: int = SITES_A_STEP) -> bool:
    """Do the next step; return False when nothing is left to do. A step that runs twice changes nothing."""
    days = [day for day in await partitions.list_partitions(session, [PACKS]) if day.end <= now - AFTER]
    if not days:
        return False
    await pack_store.lock(session)
    done: Any = (await session.execute(LOCK_WATERMARK)).one()
    day = next((each for each in days if each.start >= done.upto), None)
    if day is None:
        return False
    after = done.site_id if day.start == done.upto else 0
    bounds = {"day": day.start, "end": day.end, "after": after, "limit": sites_a_step}
    last = await session.scalar(LAST_SITE, bounds)
    if last is None:
        await session.execute(SET_WATERMARK, {"upto": day.end, "site_id": 0})
    else:
        await pack_store.merge_day(session, day.start, day.end, after=after, upto=last)
        await session.execute(SET_WATERMARK, {"upto": day.start, "site_id": last})
    return True
