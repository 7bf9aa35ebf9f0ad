"""The ledger read back as a timeline without gaps: every second has a state, and the evidence that bounds it."""

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
from app.registry.models import Site, State, UnknownReason
from probes.contract import AGENT, CENTRAL

# One statement: segments and evidence of the same moment. An outage that reaches over an edge is followed to its ends:
# whether it counts depends on its whole length.
SEGMENTS = text("""
WITH RECURSIVE inside AS MATERIALIZED (
    SELECT g.* FROM unnest(cast(:ids AS integer[])) AS w(id), LATERAL (
        SELECT * FROM state_segment g WHERE g.site_id = w.id AND g.started_at < :until
            AND g.started_at >= coalesce((
                SELECT max(p.started_at) FROM state_segment p WHERE p.site_id = w.id AND p.started_at <= :since
            ), '-infinity') AND (g.ended_at > :since OR g.ended_at IS NULL)
    ) g
), earlier AS (
    SELECT * FROM inside WHERE started_at <= :since AND state IN ('down', 'unreachable')
    UNION ALL
    SELECT g.* FROM earlier e, LATERAL (
        SELECT * FROM state_segment p WHERE p.site_id = e.site_id AND p.started_at < e.started_at
        ORDER BY p.started_at DESC LIMIT 1
    ) g WHERE g.ended_at = e.started_at AND g.state IN ('down', 'unreachable')
), later AS (
    SELECT * FROM inside WHERE ended_at >= :until AND state IN ('down', 'unreachable')
    UNION ALL
    SELECT g.* FROM later l JOIN state_segment g ON g.site_id = l.site_id AND g.started_at = l.ended_at
    WHERE g.state IN ('down', 'unreachable')
)
SELECT g.site_id, g.started_at, g.ended_at, g.state, g.unknown_reason, g.last_ok_at, g.first_ok_after, g.confirmed_at,
    s.evidence_at, s.valid_s, x.probe = 'push' AS pushed
FROM (
    SELECT * FROM inside
    UNION ALL SELECT * FROM earlier WHERE ended_at <= :since
    UNION ALL SELECT * FROM later WHERE started_at >= :until
) g JOIN site_status s ON s.site_id = g.site_id JOIN site x ON x.id = g.site_id
ORDER BY g.site_id, g.started_at
""")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the timeline, in whole seconds, with the evidence that bounds it."""

    started_at: datetime
    ended_at: datetime
    state: State
    unknown_reason: UnknownReason | None = None
    last_ok_at: datetime | None = None
    first_ok_after: datetime | None = None
    confirmed_at: datetime | None = None
    began_at: datetime | None = field(default=None, compare=False)  # of its segment, however the piece was cut


async def timeline(session: AsyncSession, site: Site, start: datetime, end: datetime, *, now: datetime) -> list[Piece]:
    """Every second from start (or the site's registration) to end (not after now), in order, without a gap.

    The last state reaches only as far as its evidence.
    """
    found = await timelines(session, {site.id: site.created_at}, start, end, now=now)
    clipped = (replace(p, started_at=max(p.started_at, start), ended_at=min(p.ended_at, end)) for p in found[site.id])
    return [piece for piece in clipped if piece.started_at < piece.ended_at]


async def timelines(
    session: AsyncSession, registered: Mapping[int, datetime], start: datetime, end: datetime, *, now: datetime
) -> dict[int, list[Piece]]:
    """The timelines of sites, known by id with the moment of their registration, over at least start to end.

    Nothing is cut at the edges: a piece keeps its whole length, and an outage all of its pieces.
    """
    stretches: dict[int, list[Piece]] = defaultdict(list)
    bounds = {"ids": sorted(registered), "since": start, "until": end}
    pushed = set()
    for row in await session.execute(SEGMENTS, bounds):
        stretches[row.site_id].append(_piece(row, now))
        if row.pushed:
            pushed.add(row.site_id)
    silence = await blind_ranges.missing_evidence_reasons(session)
    return {
        site_id: lay_out(
            stretches[site_id],
            end,
            registered_at=floor_second(at),
            silence=silence[AGENT if site_id in pushed else CENTRAL],
        )
        for site_id, at in registered.items()
    }


def lay_out(
    stretches: Sequence[Piece], end: datetime, *, registered_at: datetime, silence: UnknownReason
) -> list[Piece]:
    """The stretches up to the end; unknown before the first (nobody was seen) and after the last."""
    pieces = [piece for piece in stretches if piece.started_at < piece.ended_at]
    first = pieces[0].started_at if pieces else end
    if registered_at < first:
        pieces.insert(0, Piece(registered_at, first, State.UNKNOWN, UnknownReason.NEVER_SEEN))
    last = pieces[-1] if pieces else None
    if last is not None and last.ended_at < end:
        pieces.append(Piece(last.ended_at, end, State.UNKNOWN, silence))
    return pieces


def _piece(row: Row[Any], now: datetime) -> Piece:
    ended_at = row.ended_at or _reach(row.started_at, row.evidence_at, row.valid_s, now)
    return Piece(row.started_at, ended_at, State(row.state), _reason(row.unknown_reason), *row[5:8], row.started_at)


def _reason(text: str | None) -> UnknownReason | None:
    return None if text is None else UnknownReason(text)


def _reach(started_at: datetime, evidence_at: datetime | None, valid_s: int, now: datetime) -> datetime:
    """How far the open segment reaches by now."""
    if evidence_at is None or holds(evidence_at, valid_s, now):
        return now
    if evidence_at > now:
        return started_at  # of a clock that ran ahead: it speaks for no second that has been
    return max(started_at, lapses_at(evidence_at, valid_s))
