"""One partition of `measurement` a WITA day: made ahead, dropped whole when its days are over."""

from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import WITA, midnight

BACK_DAYS = 8  # late rows are accepted for a week
AHEAD_DAYS = 3


def name_of(day: date) -> str:
    return f"measurement_{day:%Y%m%d}"


async def make_ahead(session: AsyncSession, now: datetime) -> None:
    today = now.astimezone(WITA).date()
    existing = await _existing(session)
    for offset in range(-BACK_DAYS, AHEAD_DAYS + 1):
        day = today + timedelta(days=offset)
        if name_of(day) not in existing:
            start, end = midnight(day).isoformat(), midnight(day + timedelta(days=1)).isoformat()
            await session.execute(text(
                f"CREATE TABLE IF NOT EXISTS {name_of(day)} PARTITION OF measurement "
                f"FOR VALUES FROM ('{start}') TO ('{end}')"
            ))  # fmt: skip


async def drop_oldest(session: AsyncSession, now: datetime, *, keep_days: int) -> str | None:
    """The name of the one partition that was dropped, if any is beyond its time."""
    limit = name_of(now.astimezone(WITA).date() - timedelta(days=keep_days))
    oldest = min(await _existing(session), default=limit)
    if oldest >= limit:
        return None
    await session.execute(text(f"DROP TABLE {oldest}"))
    return oldest


async def _existing(session: AsyncSession) -> set[str]:
    return set(await session.scalars(text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'measurement'::regclass"
    )))  # fmt: skip
