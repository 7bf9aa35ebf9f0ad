"""Packs the rows of hours that are over, and drops their partitions: one step a call, one transaction a step.

1. Once hours have been over for an hour and are rolled up, make room for their packs, then move `packing` past them:
   writers wait only for that, and from then on put readings of these hours into packs (recording.py).
2. Pack the hour's rows, some hundred sites a step, and move `packed` past it when all are.
3. With nothing to pack, drop partitions that are packed; one of a whole day, once its last hour is.

A step that runs twice, or dies half-way, changes nothing: what is in a pack already stays there once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements import pack_store, partitions
from app.measurements.partitions import HOUR, ROWS, Partition
from app.measurements.row_columns import SELECTED, block_of_columns
from app.postgres.engine import sqlstate

SITES_A_STEP = 250  # an hour of them keeps a worker's loop for some 20 ms
OVER_SINCE = timedelta(hours=1)
LOCK_NOT_AVAILABLE = "55P03"

ROLLED_UP = text("SELECT upto FROM rollup_watermark WHERE stage = 'hours'")
SET_PACKING = text("UPDATE rollup_watermark SET upto = :upto WHERE stage = 'packing'")
LOCK_PACKED = text("SELECT upto, site_id FROM rollup_watermark WHERE stage = 'packed' FOR UPDATE")
SET_PACKED = text("UPDATE rollup_watermark SET upto = :upto, site_id = :site_id WHERE stage = 'packed'")
LAST_SITE = text("""
    SELECT max(site_id) FROM (SELECT id AS site_id FROM site WHERE id > :after ORDER BY id LIMIT :limit) s
""")
ROWS_OF_SITES = text(f"""
    SELECT {SELECTED} FROM measurement m
    WHERE m.slot >= :first AND m.slot < :last
        AND m.site_id > :after AND (cast(:upto AS int) IS NULL OR m.site_id <= :upto)
""")


async def pack_rows(session: AsyncSession, now: datetime, *, sites_a_step: int = SITES_A_STEP) -> bool:
    """Do the next step; return False when nothing is left to do. Call it again, in a new transaction, while True."""
    watermarks = await partitions.read_watermarks(session)
    rows = await partitions.list_partitions(session, [ROWS])
    if watermarks["packed"] < watermarks["packing"]:
        await _pack_some(session, sites_a_step)
        return True
    upto = await packable_until(session, now)
    if upto <= watermarks["packing"]:
        done = [partition for partition in rows if partition.end <= watermarks["packed"]]
        return await _drop(session, done[0]) if done else False
    days = [partition.start for partition in rows if partition.start < upto]
    if not await partitions.create_pack_days(session, days):  # else in a transaction of its own: it holds locks
        await session.execute(SET_PACKING, {"upto": upto})
    return True


async def packable_until(session: AsyncSession, now: datetime) -> datetime:
    """Return up to when hours are rolled up and have been over for long enough."""
    rolled_up: datetime = await session.scalar(ROLLED_UP)
    return partitions.hour_of(min(rolled_up, now - OVER_SINCE)).start


async def _pack_some(session: AsyncSession, sites_a_step: int) -> None:
    """Both watermarks are looked at under the lock: hours may have been opened again since (partitions.reopen)."""
    packed: Any = (await session.execute(LOCK_PACKED)).one()
    packing = (await partitions.read_watermarks(session))["packing"]
    if packed.upto >= packing:
        return
    rows = await partitions.list_partitions(session, [ROWS])
    empty_until = await _empty_until(session, packed.upto, rows, packing) if packed.site_id == 0 else packed.upto
    if empty_until > packed.upto:  # nothing was measured in between
        await _set_packed(session, empty_until)
        return
    last = await session.scalar(LAST_SITE, {"after": packed.site_id, "limit": sites_a_step})
    bounds = {"first": packed.upto, "last": packed.upto + HOUR, "after": packed.site_id, "upto": last}
    await pack_store.merge(session, block_of_columns((await session.execute(ROWS_OF_SITES, bounds)).one()))
    if last is not None:
        await _set_packed(session, packed.upto, site_id=last)
        return
    await _set_packed(session, packed.upto + HOUR)


async def _empty_until(session: AsyncSession, upto: datetime, rows: Sequence[Partition], packing: datetime) -> datetime:
    """Return how far on there is no partition with rows, `packing` at most."""
    for partition in rows:
        if partition.end > upto and await session.scalar(text(f"SELECT EXISTS (SELECT FROM {partition.name})")):
            return min(max(partition.start, upto), packing)
    return packing


async def _set_packed(session: AsyncSession, upto: datetime, *, site_id: int = 0) -> None:
    await session.execute(SET_PACKED, {"upto": upto, "site_id": site_id})


async def _drop(session: AsyncSession, partition: Partition) -> bool:
    """Return False where a reader keeps it: readers and writers must not wait for long behind us.

    The watermark is locked first, so that none of its hours is opened again meanwhile.
    """
    if await pack_store.lock(session) < partition.end:
        return False
    try:
        async with session.begin_nested():
            await partitions.lock(session, partition, within="200ms")
    except DBAPIError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        return False
    await session.execute(text(f"DROP TABLE {partition.name}"))
    return True
