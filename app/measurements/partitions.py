"""Partitions of `measurement`, one per WITA day: created ahead, dropped whole when their retention is over."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, midnight

BACK_DAYS = 8  # late rows are accepted for a week
AHEAD_DAYS = 3

UNROLLED = text("""
    SELECT EXISTS (SELECT FROM rollup_watermark WHERE stage IN ('hours', 'looks') AND upto < :end)
        OR EXISTS (SELECT FROM stale_hour WHERE hour >= :start AND hour < :end)
""")


def partition_name(day: date) -> str:
    return f"measurement_{day:%Y%m%d}"


async def create_ahead(session: AsyncSession, now: datetime) -> None:
    today = now.astimezone(WITA).date()
    await create(session, [today + timedelta(days=offset) for offset in range(-BACK_DAYS, AHEAD_DAYS + 1)])


async def create(session: AsyncSession, days: Sequence[date]) -> None:
    """Create the partitions of those days that have none yet."""
    existing = await _existing(session)
    for day in days:
        if partition_name(day) not in existing:
            start, end = midnight(day).isoformat(), midnight(day + timedelta(days=1)).isoformat()
            await session.execute(
                text(
                    f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF measurement "
                    f"FOR VALUES FROM ('{start}') TO ('{end}')"
                )
            )


async def drop_oldest(session: AsyncSession, now: datetime, *, keep_days: int) -> str | None:
    """Drop the oldest partition if it is beyond its retention and wholly rolled up; return its name, None if not."""
    limit = partition_name(now.astimezone(WITA).date() - timedelta(days=keep_days))
    oldest = min(await _existing(session), default=limit)
    if oldest >= limit:
        return None
    await session.execute(text("SET LOCAL lock_timeout = '3s'"))
    # The parent first, as every reader locks; from here on no late row can slip in.
    await session.execute(text(f"LOCK TABLE ONLY measurement, {oldest} IN ACCESS EXCLUSIVE MODE"))
    if await session.scalar(UNROLLED, {"start": start_of(oldest), "end": start_of(oldest) + timedelta(days=1)}):
        return None
    await session.execute(text(f"DROP TABLE {oldest}"))
    return oldest


async def oldest_reading_at(session: AsyncSession) -> datetime | None:
    """Return since when single readings are stored, None if none are."""
    oldest = min(await _existing(session), default=None)
    return None if oldest is None else start_of(oldest)


def start_of(name: str) -> datetime:
    return midnight(date.fromisoformat(name.removeprefix("measurement_")))


async def _existing(session: AsyncSession) -> set[str]:
    return set(
        await session.scalars(
            text(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                "WHERE i.inhparent = 'measurement'::regclass"
            )
        )
    )
