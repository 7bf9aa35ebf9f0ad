"""What a site's stream says of a second: heard around it, or silent then."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.streams import store
from app.streams.break_bounds import Break
from app.streams.models import StreamSpan
from app.witnesses.kinds import Says, WitnessKind
from app.witnesses.statement import Statement

SECOND = timedelta(seconds=1)
MOST = 5  # of one second


async def statements_at(session: AsyncSession, site_id: int, at: datetime) -> list[Statement]:
    """Return its break around that second, else the stretch in which it was heard; [] if neither is known."""
    breaks = await store.list_breaks(session, site_id, at, at + SECOND)
    if breaks:
        return [_of_break(one, at) for one in breaks[-MOST:]]
    span = await store.find_span(session, site_id, at)
    return [] if span is None else [_of_span(span, utc_now())]


def _of_break(one: Break, at: datetime) -> Statement:
    """Down where it certainly lasted; nothing near its ends, and of what is not told as the link's."""
    is_certain = one.started_before <= at < one.ended_after and one.excuse is None
    detail: dict[str, Any] = {
        "started_after": one.started_after.isoformat(),
        "started_before": one.started_before.isoformat(),
        "ended_after": one.ended_after.isoformat(),
        "ended_before": one.ended_before.isoformat(),
        "seen_by": one.seen_by.value,
        "excuse": one.excuse and one.excuse.value,
    }
    start, end = (one.started_before, one.ended_after) if is_certain else (one.started_after, one.ended_before)
    says = Says.DOWN if is_certain else Says.NOTHING
    return Statement(WitnessKind.STREAM, says, start, max(end, start + SECOND), one.heard_at, detail)


def _of_span(span: StreamSpan, now: datetime) -> Statement:
    """Up: something crossed the link at least each beat; a break shorter than half of it may have passed unseen."""
    is_held = now - span.ended_at < timedelta(seconds=3 * span.beat_s)
    end = None if is_held else max(span.ended_at, span.started_at + SECOND)
    return Statement(WitnessKind.STREAM, Says.UP, span.started_at, end, span.ended_at, {"beat_s": span.beat_s})
