"""Partitions of `measurement`, one per hour, and of `reading_pack`, one per WITA day.

Rows live in `measurement` until their hour is packed (packing.py); its partition is dropped whole then. A day of it
that is over without being packed, as from before there were packs, is one partition. Names are in WITA, and sort by it.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA

BACK_DAYS = 8  # late rows are accepted for a week
AHEAD = timedelta(hours=30)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ROWS, PACKS = "measurement", "reading_pack"
EVER = datetime(1970, 1, 1, tzinfo=UTC)

UNROLLED = text("""
    SELECT EXISTS (SELECT FROM rollup_watermark WHERE stage IN ('hours', 'looks') AND upto < :end)
        OR EXISTS (SELECT FROM stale_hour WHERE hour >= :start AND hour < :end)
""")
EXISTING = text("""
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = ANY(cast(:tables AS regclass[]))
""")
READ_WATERMARKS = text("SELECT stage, upto FROM rollup_watermark WHERE stage IN ('packing', 'packed')")
# Locked in the order in which writers lock them.
LOCK_WATERMARKS = """
    WITH locked AS (
        SELECT stage, upto FROM rollup_watermark WHERE stage IN ('packing', 'packed') ORDER BY stage DESC FOR UPDATE
    )
"""
ADVANCE = text(f"""
    {LOCK_WATERMARKS}
    UPDATE rollup_watermark w SET upto = :upto, site_id = 0 FROM locked WHERE w.stage = locked.stage
""")
SET_BACK = text(f"""
    {LOCK_WATERMARKS}
    UPDATE rollup_watermark w SET upto = :upto, site_id = 0 FROM locked
    WHERE w.stage = locked.stage AND locked.upto >= :upto
""")  # hours that wait to be packed still do


class Partition(NamedTuple):
    """In order of time."""

    start: datetime
    end: datetime
    table: str

    @property
    def name(self) -> str:
        digits = "%Y%m%d" if self.end - self.start == DAY else "%Y%m%d_%H"
        return f"{self.table}_{self.start.astimezone(WITA):{digits}}"

    @classmethod
    def named(cls, name: str) -> "Partition":
        table, digits = name[: name.index("_2")], name[name.index("_2") + 1 :]
        is_day = len(digits) == len("20261124")
        start = datetime.strptime(digits, "%Y%m%d" if is_day else "%Y%m%d_%H").replace(tzinfo=WITA)
        return cls(start, start + (DAY if is_day else HOUR), table)


def day_of(moment: datetime, table: str = ROWS) -> Partition:
    """Return the partition of a WITA day."""
    start = _midnight(moment)
    return Partition(start, start + DAY, table)


def hour_of(moment: datetime) -> Partition:
    """Return the partition of an hour's rows."""
    start = moment.astimezone(WITA).replace(minute=0, second=0, microsecond=0)
    return Partition(start, start + HOUR, ROWS)


async def create_ahead(session: AsyncSession, now: datetime) -> None:
    """Create the partitions of rows from now on, and those of the last days: of rows, or of packs where packing was."""
    packing = await _adjust_packing(session, now)
    today = _midnight(now)
    late_from = today - BACK_DAYS * DAY
    await _create(session, _days(late_from, packing, PACKS))
    await _create(session, [*_days(max(packing, late_from), today), *_hours(today, now + AHEAD)], since=packing)


async def create_past(session: AsyncSession, start: datetime, now: datetime) -> None:
    """Create the partitions of rows from a past moment's day on until now, even where packs are expected."""
    await _create(session, [*_days(start, _midnight(now)), *_hours(_midnight(now), now)])


async def create_for(session: AsyncSession, moments: Iterable[datetime]) -> None:
    """Create the partitions in which readings of these moments are stored."""
    packing, moments = (await read_watermarks(session))["packing"], set(moments)
    await _create(session, [day_of(at) for at in {_midnight(at) for at in moments if at >= packing}], since=packing)
    await create_pack_days(session, [at for at in moments if at < packing])


async def create_pack_days(session: AsyncSession, moments: Iterable[datetime]) -> bool:
    """Create the partitions of packs of these moments; return whether any was missing."""
    return await _create(session, [day_of(at, PACKS) for at in {_midnight(at) for at in moments}])


async def drop_oldest(session: AsyncSession, now: datetime, *, keep_days: int) -> str | None:
    """Drop the oldest partition if it is beyond its retention and wholly rolled up; return its name, None if not."""
    limit = _midnight(now) - keep_days * DAY
    oldest = min(await list_partitions(session), default=None)
    if oldest is None or oldest.end > limit:
        return None
    await lock(session, oldest)
    if await session.scalar(UNROLLED, {"start": oldest.start, "end": oldest.end}):
        return None
    await session.execute(text(f"DROP TABLE {oldest.name}"))
    return oldest.name


async def lock(session: AsyncSession, partition: Partition, *, within: str = "3s") -> None:
    """Lock a partition before it is dropped: the parent first, as every reader locks.

    Meanwhile others wait behind us: `within` bounds for how long.
    """
    await session.execute(text(f"SET LOCAL lock_timeout = '{within}'"))
    await session.execute(text(f"LOCK TABLE ONLY {partition.table}, {partition.name} IN ACCESS EXCLUSIVE MODE"))


async def oldest_reading_at(session: AsyncSession) -> datetime | None:
    """Return since when single readings are stored, None if none are."""
    oldest = min(await list_partitions(session), default=None)
    return None if oldest is None else oldest.start


async def list_partitions(session: AsyncSession, tables: Collection[str] = (ROWS, PACKS)) -> list[Partition]:
    names = await session.scalars(EXISTING, {"tables": list(tables)})
    return sorted(Partition.named(name) for name in names)


async def read_watermarks(session: AsyncSession) -> dict[str, datetime]:
    """Return up to when readings are packed, and up to when new ones are stored in packs (see packing.py)."""
    return {row.stage: row.upto for row in await session.execute(READ_WATERMARKS)}


async def reopen(session: AsyncSession, at: datetime) -> None:
    """Store readings from the hour of `at` on as rows again, if it is packed: by a clock that was ahead."""
    if hour_of(at).start < (await read_watermarks(session))["packing"]:
        await session.execute(SET_BACK, {"upto": hour_of(at).start})
        await _create(session, _hours(at, at + AHEAD))


async def _adjust_packing(session: AsyncSession, now: datetime) -> datetime:
    """Return from which hour on readings are stored as rows: not later than now, not earlier than the oldest rows."""
    await reopen(session, now)
    packing = (await read_watermarks(session))["packing"]
    rows = await list_partitions(session, [ROWS])
    oldest = min([*(partition.start for partition in rows), _midnight(now) - BACK_DAYS * DAY])
    if oldest > packing:
        await session.execute(ADVANCE, {"upto": oldest})
    return max(oldest, packing)


async def _create(session: AsyncSession, wanted: Collection[Partition], *, since: datetime = EVER) -> bool:
    """Create partitions where there are none; of a day of which some hours have one or are packed, the other hours.

    Attached, not created in place, which would wait for every reader and keep all others out meanwhile.
    """
    if not await _missing(session, wanted, since):
        return False
    for table in sorted({partition.table for partition in wanted}):
        await session.execute(text(f"LOCK TABLE ONLY {table} IN SHARE UPDATE EXCLUSIVE MODE"))
    for part in await _missing(session, wanted, since):
        bounds = f"FROM ('{part.start.isoformat()}') TO ('{part.end.isoformat()}')"
        await session.execute(text(f"CREATE TABLE {part.name} (LIKE {part.table} INCLUDING ALL)"))
        await session.execute(text(f"ALTER TABLE {part.table} ATTACH PARTITION {part.name} FOR VALUES {bounds}"))
    return True


async def _missing(session: AsyncSession, wanted: Collection[Partition], since: datetime) -> list[Partition]:
    existing, missing = await list_partitions(session, {partition.table for partition in wanted}), list[Partition]()
    for partition in sorted(wanted):
        overlapping = [other for other in existing if _overlap(other, partition)]
        parts = [partition] if not overlapping and partition.start >= since else _hours_of(partition)
        missing += [
            part for part in parts if part.start >= since and not any(_overlap(other, part) for other in overlapping)
        ]
    return missing


def _hours_of(partition: Partition) -> list[Partition]:
    return _hours(partition.start, partition.end) if partition.table == ROWS else []


def _overlap(a: Partition, b: Partition) -> bool:
    return a.table == b.table and a.start < b.end and b.start < a.end


def _days(start: datetime, end: datetime, table: str = ROWS) -> list[Partition]:
    days = [day_of(start, table)] if start < end else []
    while days and days[-1].end < end:
        days.append(day_of(days[-1].end, table))
    return days


def _hours(start: datetime, end: datetime) -> list[Partition]:
    hours = [hour_of(start)] if start < end else []
    while hours and hours[-1].end < end:
        hours.append(hour_of(hours[-1].end))
    return hours


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(WITA).replace(hour=0, minute=0, second=0, microsecond=0)
