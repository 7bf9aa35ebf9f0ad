"""Changes to what has been: they are counted again, and one that reaches into a closed month says why it is made."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange

Stretch = tuple[datetime, datetime]


async def changed(
    session: AsyncSession, site_ids: Sequence[int], stretches: Sequence[Stretch], *, reason: str | None
) -> None:
    """Recounts these sites over these stretches, as far as they have been.

    Raises Invalid (`reason_needed`) when one reaches into a closed month and no reason is given.
    """
    now = utc_now()
    gone = [(start, min(end, now)) for start, end in stretches if start < min(end, now)]
    if reason is None:
        for start, end in gone:
            await _require_open(session, site_ids, start, end)
    spans = [DirtyRange(site_id, start, end) for site_id in site_ids for start, end in gone]
    await invalidation.invalidate(session, spans, reason=reason or "changed by hand")


def difference(before: Stretch, after: Stretch) -> list[Stretch]:
    """What one of the two covers and the other does not."""
    if before[1] <= after[0] or after[1] <= before[0]:
        return [before, after]
    edges = [tuple(sorted(pair)) for pair in zip(before, after, strict=True)]
    return [(low, high) for low, high in edges if low < high]


async def _require_open(session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime) -> None:
    closed = await monthly_close.closed_months(session, start, end, site_ids=site_ids)
    if closed:
        raise Invalid(
            Fault(
                "reason",
                "reason_needed",
                "This changes {month}, a month that is closed and settled",
                "Say in reason why it is changed: it is recorded",
                values={"month": f"{closed[0]:%Y-%m}"},
            )
        )
