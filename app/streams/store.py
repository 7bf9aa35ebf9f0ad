"""Writes what was heard of streams, and reads breaks and the stretches between them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import and_, delete, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.periods import Period
from app.judging.models import Blind
from app.streams.break_bounds import LEAST_APART, ROUNDING, Break, ReportedBreak, SeenBy, merge
from app.streams.models import StreamBreak, StreamSpan
from probes.contract import CENTRAL, SILENCE

MOST_BREAKS = 20_000  # that one answer is made of: two a minute for a week
UPSERT_SPANS = text("""
    INSERT INTO stream_span AS s (site_id, started_at, ended_at, beat_s)
    SELECT n.* FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, started_at timestamptz, ended_at timestamptz, beat_s int)
    ORDER BY n.site_id, n.started_at
    ON CONFLICT (site_id, started_at) DO UPDATE SET ended_at = greatest(s.ended_at, excluded.ended_at)
""")
INSERT_BREAKS = text("""
    INSERT INTO stream_break (site_id, seen_by, started_after, started_before, ended_after, ended_before, heard_at,
        excuse, boot, seq)
    SELECT n.* FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, seen_by text, started_after timestamptz, started_before timestamptz, ended_after timestamptz,
        ended_before timestamptz, heard_at timestamptz, excuse text, boot text, seq bigint)
    ORDER BY n.site_id, n.seq
    ON CONFLICT DO NOTHING
""")
# What a device cannot have seen beside what it reported before is left out (Break.crowds).
INSERT_REPORTED = text(f"""
    INSERT INTO stream_break (site_id, seen_by, started_after, started_before, ended_after, ended_before, heard_at,
        excuse, boot, seq)
    SELECT n.* FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, seen_by text, started_after timestamptz, started_before timestamptz, ended_after timestamptz,
        ended_before timestamptz, heard_at timestamptz, excuse text, boot text, seq bigint)
    WHERE NOT EXISTS (
        SELECT FROM stream_break b WHERE b.site_id = n.site_id AND b.seen_by = '{SeenBy.DEVICE}'
            AND b.ended_before >= n.started_after AND b.started_after < n.ended_before AND (
                least(b.ended_before, n.ended_before) - greatest(b.started_after, n.started_after)
                    > make_interval(secs => {ROUNDING.total_seconds()})
                OR abs(extract(epoch FROM b.started_after - n.started_after)) < {LEAST_APART.total_seconds()}
            )
    )
    ORDER BY n.site_id, n.seq
    ON CONFLICT DO NOTHING
""")
MARK_TWO_AGENTS = text("""
    UPDATE device d SET two_agents_at = greatest(d.two_agents_at, n.at)
    FROM json_to_recordset(cast(:rows AS json)) AS n(site_id int, at timestamptz) WHERE d.site_id = n.site_id
""")


async def write_spans(session: AsyncSession, spans: Sequence[Mapping[str, Any]]) -> None:
    """`spans`: site_id, started_at, ended_at, beat_s. One that is written again only grows."""
    if spans:
        await session.execute(UPSERT_SPANS, {"rows": _json(spans)})


async def mark_two_agents(session: AsyncSession, sites: Mapping[int, datetime]) -> None:
    if sites:
        rows = [{"site_id": site_id, "at": at} for site_id, at in sites.items()]
        await session.execute(MARK_TWO_AGENTS, {"rows": _json(rows)})


async def record_seen(session: AsyncSession, breaks: Sequence[tuple[int, Break]]) -> None:
    """Record what the server saw itself."""
    if breaks:
        rows = [_row(site_id, bounds) for site_id, bounds in breaks]
        await session.execute(INSERT_BREAKS, {"rows": _json(rows)})


async def record_reported(session: AsyncSession, reported: Sequence[ReportedBreak]) -> None:
    """Record what devices saw; what is known already, or cannot be beside it, changes nothing."""
    if reported:
        rows = [_row(one.site_id, one.bounds) | {"boot": one.boot, "seq": one.seq} for one in reported]
        await session.execute(INSERT_REPORTED, {"rows": _json(rows)})


async def list_breaks(session: AsyncSession, site_id: int, start: datetime, end: datetime) -> list[Break]:
    """Return the breaks that may lie in the period, merged, those of our own stops excused; the oldest first."""
    rows = await session.scalars(
        select(StreamBreak)
        .where(StreamBreak.site_id == site_id, StreamBreak.ended_before > start, StreamBreak.started_after < end)
        .order_by(StreamBreak.ended_before.desc())
        .limit(MOST_BREAKS)
    )
    breaks = merge([_bounds(row) for row in rows])
    if not any(one.seen_by is SeenBy.SERVER for one in breaks):
        return breaks
    first, last = min(one.started_after for one in breaks), max(one.ended_before for one in breaks)
    blind = await _blind_ranges(session, first, last)
    return [one.excused_by(blind) for one in breaks]


async def find_span(session: AsyncSession, site_id: int, at: datetime) -> StreamSpan | None:
    """Return the stretch around that moment, None if no stream was heard then."""
    query = (
        select(StreamSpan)
        .where(StreamSpan.site_id == site_id, StreamSpan.started_at <= at, StreamSpan.ended_at >= at)
        .order_by(StreamSpan.started_at.desc())
    )
    return (await session.scalars(query.limit(1))).one_or_none()


async def held_seconds(session: AsyncSession, site_id: int, period: Period) -> int:
    """Return how long a stream was heard within the period."""
    query = text("""
        SELECT coalesce(sum(extract(epoch FROM
            least(ended_at, cast(:end AS timestamptz)) - greatest(started_at, cast(:start AS timestamptz)))), 0)
        FROM stream_span WHERE site_id = :site AND started_at < :end AND ended_at > :start
    """)
    return int(await session.scalar(query, {"site": site_id, "start": period.start, "end": period.end}) or 0)


async def delete_old(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(StreamSpan).where(StreamSpan.ended_at < before))
    await session.execute(delete(StreamBreak).where(StreamBreak.ended_before < before))


async def _blind_ranges(session: AsyncSession, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """When ingest was not proven alive, or our uplink was not open."""
    ours = or_(Blind.source == SILENCE, and_(Blind.source == CENTRAL, Blind.reason == "uplink"))
    rows = await session.execute(
        select(Blind.started_at, Blind.ended_at).where(ours, Blind.started_at < end, Blind.ended_at > start)
    )
    return [(first, last) for first, last in rows]


def _bounds(row: StreamBreak) -> Break:
    return Break(
        row.started_after,
        row.started_before,
        row.ended_after,
        row.ended_before,
        row.seen_by,
        row.heard_at,
        row.excuse,
    )


def _row(site_id: int, bounds: Break) -> dict[str, Any]:
    return {
        "site_id": site_id,
        "seen_by": bounds.seen_by,
        "started_after": bounds.started_after,
        "started_before": bounds.started_before,
        "ended_after": bounds.ended_after,
        "ended_before": bounds.ended_before,
        "heard_at": bounds.heard_at,
        "excuse": bounds.excuse,
    }


def _json(rows: Iterable[Mapping[str, Any]]) -> str:
    return orjson.dumps([dict(row) for row in rows]).decode()
