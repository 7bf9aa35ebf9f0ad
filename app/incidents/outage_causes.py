"""Causes that people give for stretches of outage, stored beside the ledger so that a rejudge cannot erase them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.incidents.models import OutageCause
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import among
from app.registry.models import Cause

OVERLAPPING = text("""
    SELECT DISTINCT c.id FROM unnest(
        cast(:site_ids AS integer[]), cast(:starts AS timestamptz[]), cast(:ends AS timestamptz[])
    ) AS n(site_id, low, high) JOIN outage_cause c ON c.site_id = n.site_id AND c.withdrawn_at IS NULL
        AND tstzrange(c.started_at, c.ended_at) && tstzrange(n.low, n.high)
    ORDER BY c.id
""")


@dataclass(frozen=True, slots=True)
class CauseRange:
    started_at: datetime
    ended_at: datetime
    cause: Cause


class OutageRange(NamedTuple):
    """One site's outage, from start to end (None: it lasts)."""

    site_id: int
    start: datetime
    end: datetime | None


async def set_cause(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime | None, cause: Cause, by: str
) -> None:
    """Set the cause of these sites from start to end (None: while the outage lasts); see `set_causes`."""
    await set_causes(session, [OutageRange(site_id, start, end) for site_id in site_ids], cause, by)


async def set_causes(session: AsyncSession, outages: Iterable[OutageRange], cause: Cause, by: str) -> None:
    """Set the cause over these ranges, which do not overlap within a site, in place of any earlier cause there.

    Append-only: earlier rows that overlap are withdrawn, and their parts outside the new ranges are inserted again.
    The ranges up to now are counted again.
    """
    distinct = sorted(set(outages), key=lambda outage: (outage.site_id, outage.start))
    by_site: dict[int, list[OutageRange]] = defaultdict(list)
    for outage in distinct:
        by_site[outage.site_id].append(outage)
    await _lock(session, by_site)
    withdrawn = await _withdraw(session, distinct)
    session.add_all(rest for row in withdrawn for rest in _parts_outside(row, by_site[row.site_id]))
    session.add_all(
        OutageCause(site_id=site_id, started_at=start, ended_at=end, cause=cause, confirmed_by=by)
        for site_id, start, end in distinct
    )
    await session.flush()
    now = utc_now()
    past = [DirtyRange(site_id, start, min(end or now, now)) for site_id, start, end in distinct if start < now]
    if past:
        await invalidation.invalidate(session, past, reason=f"cause {cause.value}")


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


async def _lock(session: AsyncSession, site_ids: Collection[int]) -> None:
    """Serialise people who set causes of the same site, until the transaction ends; other writers do not wait."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('outage_cause'), id) FROM unnest(cast(:ids AS integer[])) AS id"),
        {"ids": sorted(set(site_ids))},
    )


async def _withdraw(session: AsyncSession, outages: Sequence[OutageRange]) -> Sequence[OutageCause]:
    ids = await session.scalars(
        OVERLAPPING,
        {
            "site_ids": [outage.site_id for outage in outages],
            "starts": [outage.start for outage in outages],
            "ends": [outage.end for outage in outages],
        },
    )
    withdrawn = await session.scalars(
        update(OutageCause)
        .where(among(OutageCause.id, ids.all()))
        .values(withdrawn_at=func.now())
        .returning(OutageCause)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return withdrawn.all()


def _parts_outside(row: OutageCause, outages: Iterable[OutageRange]) -> Iterator[OutageCause]:
    """Yield what of a withdrawn row lies outside of its site's new ranges. An open one has no part after the first."""
    unchanged = {name: getattr(row, name) for name in ("site_id", "cause", "confirmed_by", "recorded_at")}
    start = row.started_at
    for outage in outages:
        if outage.end is not None and outage.end <= start:
            continue
        if row.ended_at is not None and outage.start >= row.ended_at:
            break
        if start < outage.start:
            yield OutageCause(**unchanged, started_at=start, ended_at=outage.start)
        if outage.end is None or row.ended_at is None:
            return
        start = outage.end
    if row.ended_at is not None and start < row.ended_at:
        yield OutageCause(**unchanged, started_at=start, ended_at=row.ended_at)
