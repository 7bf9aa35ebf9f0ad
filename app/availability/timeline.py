"""Reads state segments back as a timeline without gaps: every second has a state, with the evidence that bounds it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second
from app.core.freshness import holds, lapses_at
from app.judging import blind_ranges
from app.judging.claims import Claim
from app.registry.models import Site, State, UnknownReason
from probes.contract import AGENT, CENTRAL

# Segments and evidence of one moment, in one statement. What lies between two answers is read to both of its ends where
# it crosses an edge: it may be one outage, and whether that counts depends on its whole length.
SEGMENTS = text("""
WITH RECURSIVE inside AS MATERIALIZED (
    SELECT g.* FROM unnest(cast(:ids AS integer[])) AS w(id), LATERAL (
        SELECT * FROM state_segment g WHERE g.site_id = w.id AND g.started_at < :until
            AND g.started_at >= coalesce((
                SELECT max(p.started_at) FROM state_segment p WHERE p.site_id = w.id AND p.started_at <= :since
            ), '-infinity') AND (g.ended_at > :since OR g.ended_at IS NULL)
    ) g
), earlier AS (
    SELECT * FROM inside WHERE started_at <= :since AND state NOT IN ('up', 'degraded')
    UNION ALL
    SELECT g.* FROM earlier e, LATERAL (
        SELECT * FROM state_segment p WHERE p.site_id = e.site_id AND p.started_at < e.started_at
        ORDER BY p.started_at DESC LIMIT 1
    ) g WHERE g.ended_at = e.started_at AND g.state NOT IN ('up', 'degraded')
), later AS (
    SELECT * FROM inside WHERE ended_at >= :until AND state NOT IN ('up', 'degraded')
    UNION ALL
    SELECT g.* FROM later l JOIN state_segment g ON g.site_id = l.site_id AND g.started_at = l.ended_at
    WHERE g.state NOT IN ('up', 'degraded')
), present AS MATERIALIZED (
    SELECT s.site_id, s.evidence_at, s.valid_s, (
        SELECT c.probe = 'push' FROM site_configuration c
        WHERE c.site_id = s.site_id AND c.started_at <= coalesce(s.evidence_at, s.since)
        ORDER BY c.started_at DESC LIMIT 1
    ) AS pushed
    FROM site_status s WHERE s.site_id = ANY(:ids)
)
SELECT g.site_id, g.started_at, g.ended_at, g.state, g.unknown_reason, g.last_ok_at, g.first_ok_after, g.confirmed_at,
    g.last_loss_at, s.evidence_at, s.valid_s, s.pushed
FROM (
    SELECT * FROM inside
    UNION ALL SELECT * FROM earlier WHERE ended_at <= :since
    UNION ALL SELECT * FROM later WHERE started_at >= :until
) g JOIN present s ON s.site_id = g.site_id
ORDER BY g.site_id, g.started_at
""")


@dataclass(frozen=True, slots=True)
class TimelineSegment:
    """A part of the timeline in one state, in whole seconds, with the evidence that bounds it."""

    started_at: datetime
    ended_at: datetime
    state: State
    unknown_reason: UnknownReason | None = None
    last_ok_at: datetime | None = None
    first_ok_after: datetime | None = None
    confirmed_at: datetime | None = None
    last_loss_at: datetime | None = None  # of an outage; the newest evidence while it lasts
    began_at: datetime | None = field(default=None, compare=False)  # of the stored segment, before any clipping
    claim: Claim | None = None  # that decides the state; `proven_state` is the ledger's
    proven_state: State | None = None


async def timeline(
    session: AsyncSession, site: Site, start: datetime, end: datetime, *, now: datetime
) -> list[TimelineSegment]:
    """Return segments in order, without gaps, from start (or the site's registration) to end (not after now).

    The last state reaches only as far as its evidence holds.
    """
    by_site = await timelines(session, {site.id: site.created_at}, start, end, now=now)
    clipped = (replace(s, started_at=max(s.started_at, start), ended_at=min(s.ended_at, end)) for s in by_site[site.id])
    return [segment for segment in clipped if segment.started_at < segment.ended_at]


async def timelines(
    session: AsyncSession, registered: Mapping[int, datetime], start: datetime, end: datetime, *, now: datetime
) -> dict[int, list[TimelineSegment]]:
    """Return the timelines of sites, given by id with the moment of registration, over at least start to end.

    Nothing is clipped: a segment keeps its whole length, and what lies between two answers all of its segments.
    """
    segments: dict[int, list[TimelineSegment]] = defaultdict(list)
    bounds = {"ids": sorted(registered), "since": start, "until": end}
    pushed = set()
    for row in await session.execute(SEGMENTS, bounds):
        segments[row.site_id].append(_segment(row, now))
        if row.pushed:
            pushed.add(row.site_id)
    silence = await blind_ranges.missing_evidence_reasons(session)
    return {
        site_id: fill_gaps(
            segments[site_id],
            end,
            registered_at=floor_second(at),
            silence=silence[AGENT if site_id in pushed else CENTRAL],
        )
        for site_id, at in registered.items()
    }


def fill_gaps(
    segments: Sequence[TimelineSegment], end: datetime, *, registered_at: datetime, silence: UnknownReason
) -> list[TimelineSegment]:
    """Add `unknown` between registration and the first segment, and from the last one to the end."""
    filled = [segment for segment in segments if segment.started_at < segment.ended_at]
    first = filled[0].started_at if filled else end
    if registered_at < first:
        filled.insert(0, TimelineSegment(registered_at, first, State.UNKNOWN, UnknownReason.NEVER_SEEN))
    last = filled[-1] if filled else None
    if last is not None and last.ended_at < end:
        filled.append(TimelineSegment(last.ended_at, end, State.UNKNOWN, silence))
    return filled


def _segment(row: Row[Any], now: datetime) -> TimelineSegment:
    ended_at = row.ended_at or _open_until(row.started_at, row.evidence_at, row.valid_s, now)
    state, reason = State(row.state), _reason(row.unknown_reason)
    last_loss_at = row.last_loss_at if row.ended_at is not None else row.evidence_at
    return TimelineSegment(row.started_at, ended_at, state, reason, *row[5:8], last_loss_at, row.started_at)


def _reason(text: str | None) -> UnknownReason | None:
    return None if text is None else UnknownReason(text)


def _open_until(started_at: datetime, evidence_at: datetime | None, valid_s: int, now: datetime) -> datetime:
    """Return the end of an open segment as of now."""
    if evidence_at is None or holds(evidence_at, valid_s, now):
        return now
    if evidence_at > now:
        return started_at  # from a clock that was ahead: it is evidence of no past second
    return max(started_at, lapses_at(evidence_at, valid_s))
