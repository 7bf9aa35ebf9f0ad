"""What waits to be packed: how long a time of readings, and how much room their rows take."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements import packing, partitions
from app.measurements.partitions import ROWS

# Bounds are those of partitions, so that the first row which is met is one.
ANY_ROW = text("SELECT slot FROM measurement WHERE slot >= :start AND slot < :end LIMIT 1")
SIZE = text("""
    SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'measurement'::regclass AND c.relname = ANY(:names)
""")


@dataclass(frozen=True, slots=True)
class PackingBacklog:
    lag: timedelta = timedelta()  # from the oldest rows that wait to the hours that may be packed
    size_bytes: int = 0


async def read_backlog(session: AsyncSession, now: datetime, *, beyond: timedelta) -> PackingBacklog:
    """Return what waits, nothing if packing lags by no more than `beyond`. Times without any reading do not count."""
    packed, until = (await partitions.read_watermarks(session))["packed"], await packing.packable_until(session, now)
    if until - packed <= beyond:
        return PackingBacklog()
    rows = await partitions.list_partitions(session, [ROWS])
    waiting = [part for part in rows if part.end > packed and part.start < until]
    bounds = {"start": waiting[0].start, "end": waiting[-1].end} if waiting else {"start": until, "end": until}
    first = await session.scalar(ANY_ROW, bounds)
    left = [part for part in waiting if first is not None and part.end > first]
    lag = until - max(packed, left[0].start) if left else timedelta()
    if lag <= beyond:
        return PackingBacklog()
    size_bytes: int = await session.scalar(SIZE, {"names": [part.name for part in left]})
    return PackingBacklog(lag, size_bytes)
