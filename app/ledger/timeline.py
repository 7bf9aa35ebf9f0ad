"""The ledger read back as a timeline without gaps: every second has a state, and the evidence that bounds it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import floor_second
from app.evidence import holds, lapses_at
from app.ledger import blindness
from app.ledger.models import StateSegment
from app.registry.models import Site, SiteStatus, State, UnknownReason


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the timeline, in whole seconds, with the evidence that bounds it."""

    started_at: datetime
    ended_at: datetime
    state: State
    unknown_reason: UnknownReason | None = None
    last_ok_at: datetime | None = None
    first_ok_after: datetime | None = None


async def timeline(session: AsyncSession, site: Site, start: datetime, end: datetime, *, now: datetime) -> list[Piece]:
    """Every second from start (or the site's registration) to end (not after now), in order, without a gap.

    The last state reaches only as far as its evidence.
    """
    rows = await session.execute(  # one statement: segments and evidence of the same moment
        select(StateSegment, SiteStatus.evidence_at, SiteStatus.valid_s)
        .join(SiteStatus, SiteStatus.site_id == StateSegment.site_id)
        .where(StateSegment.site_id == site.id, StateSegment.started_at < end)
        .where((StateSegment.ended_at > start) | StateSegment.ended_at.is_(None))
        .order_by(StateSegment.started_at)
    )
    stretches = [Piece(
        segment.started_at, segment.ended_at or _reach(segment.started_at, evidence_at, valid_s, now), segment.state,
        segment.unknown_reason, segment.last_ok_at, segment.first_ok_after,
    ) for segment, evidence_at, valid_s in rows]  # fmt: skip
    silence = await blindness.silence_reason(session)
    return lay_out(stretches, start, end, registered_at=floor_second(site.created_at), silence=silence)


def lay_out(
    stretches: Sequence[Piece], start: datetime, end: datetime, *, registered_at: datetime, silence: UnknownReason
) -> list[Piece]:
    """The stretches within start and end; unknown before the first (nobody was seen) and after the last."""
    pieces = [piece for piece in stretches if piece.started_at < piece.ended_at]
    first = pieces[0].started_at if pieces else end
    if registered_at < first:
        pieces.insert(0, Piece(registered_at, first, State.UNKNOWN, UnknownReason.NEVER_SEEN))
    last = pieces[-1] if pieces else None
    if last is not None and last.ended_at < end:
        pieces.append(Piece(last.ended_at, end, State.UNKNOWN, silence))
    clipped = (replace(p, started_at=max(p.started_at, start), ended_at=min(p.ended_at, end)) for p in pieces)
    return [piece for piece in clipped if piece.started_at < piece.ended_at]


def _reach(started_at: datetime, evidence_at: datetime | None, valid_s: int, now: datetime) -> datetime:
    """How far the open segment reaches by now."""
    if evidence_at is None or holds(evidence_at, valid_s, now):
        return now
    if evidence_at > now:
        return started_at  # of a clock that ran ahead: it speaks for no second that has been
    return max(started_at, lapses_at(evidence_at, valid_s))
