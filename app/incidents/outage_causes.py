"""Causes that people give for stretches of outage, stored beside the ledger so that a rejudge cannot erase them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.incidents.models import OutageCause
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import among
from app.registry.models import Cause


@dataclass(frozen=True, slots=True)
class CauseRange:
    started_at: datetime
    ended_at: datetime
    cause: Cause


async def set_cause(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime | None, cause: Cause, by: str
) -> None:
    """Set the cause from start to end (None: while the outage lasts), in place of any earlier cause there.

    Append-only: earlier rows that overlap are withdrawn, and their parts outside the new range are inserted again.
    The range up to now is counted again.
    """
    await _lock(session, site_ids)
    withdrawn = await _withdraw(session, site_ids, start, end)
    session.add_all(rest for row in withdrawn for rest in _parts_outside(row, start, end))
    session.add_all(
        OutageCause(site_id=site_id, started_at=start, ended_at=end, cause=cause, confirmed_by=by)
        for site_id in set(site_ids)
    )
    await session.flush()
    now = utc_now()
    until = min(end or now, now)
    if start < until:
        spans = [DirtyRange(site_id, start, until) for site_id in set(site_ids)]
        await invalidation.invalidate(session, spans, reason=f"cause {cause.value}, by {by}")


async def causes_of(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime
) -> dict[int, list[CauseRange]]:
    """By site, in order of time, without overlap, clipped to start and end. A site without a cause is left out."""
    rows = await session.execute(
        select(OutageCause.site_id, OutageCause.started_at, OutageCause.ended_at, OutageCause.cause)
        .where(among(OutageCause.site_id, site_ids), OutageCause.withdrawn_at.is_(None), OutageCause.started_at < end)
        .where(or_(OutageCause.ended_at > start, OutageCause.ended_at.is_(None)))
        .order_by(OutageCause.started_at)
    )
    causes: dict[int, list[CauseRange]] = defaultdict(list)
    for site_id, started_at, ended_at, cause in rows:
        causes[site_id].append(CauseRange(max(started_at, start), min(ended_at or end, end), cause))
    return dict(causes)


async def _lock(session: AsyncSession, site_ids: Sequence[int]) -> None:
    """Serialise people who set causes of the same site, until the transaction ends; other writers do not wait."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('outage_cause'), id) FROM unnest(cast(:ids AS integer[])) AS id"),
        {"ids": sorted(set(site_ids))},
    )


async def _withdraw(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime | None
) -> Sequence[OutageCause]:
    overlap = func.tstzrange(OutageCause.started_at, OutageCause.ended_at).op("&&")(func.tstzrange(start, end))
    withdrawn = await session.scalars(
        update(OutageCause)
        .where(among(OutageCause.site_id, site_ids), OutageCause.withdrawn_at.is_(None), overlap)
        .values(withdrawn_at=func.now())
        .returning(OutageCause)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return withdrawn.all()


def _parts_outside(row: OutageCause, start: datetime, end: datetime | None) -> Iterator[OutageCause]:
    unchanged = {name: getattr(row, name) for name in ("site_id", "cause", "confirmed_by", "recorded_at")}
    if row.started_at < start:
        yield OutageCause(**unchanged, started_at=row.started_at, ended_at=start)
    if end is not None and row.ended_at is not None and end < row.ended_at:  # an open cause has no part after `end`
        yield OutageCause(**unchanged, started_at=end, ended_at=row.ended_at)
