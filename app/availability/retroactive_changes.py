"""Changes to the past: what they affect is counted again; one that reaches into a closed month needs a reason."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close
from app.availability.intervals import TimeRange
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange


async def invalidate(
    session: AsyncSession, site_ids: Sequence[int], ranges: Sequence[TimeRange], *, reason: str | None
) -> None:
    """Have these sites counted again over the past part of these ranges.

    Raises Invalid (`reason_needed`) if one reaches into a closed month and no reason is given.
    """
    now = utc_now()
    past = [(start, min(end, now)) for start, end in ranges if start < min(end, now)]
    if reason is None:
        for start, end in past:
            await _require_no_closed_month(session, site_ids, start, end)
    dirty = [DirtyRange(site_id, start, end) for site_id in site_ids for start, end in past]
    await invalidation.invalidate(session, dirty, reason=reason or "changed by hand")


def symmetric_difference(before: TimeRange, after: TimeRange) -> list[TimeRange]:
    """Return what one of the two ranges covers and the other does not."""
    if before[1] <= after[0] or after[1] <= before[0]:
        return [before, after]
    edges = [tuple(sorted(pair)) for pair in zip(before, after, strict=True)]
    return [(low, high) for low, high in edges if low < high]


async def _require_no_closed_month(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime
) -> None:
    closed = await monthly_close.closed_months(session, start, end, site_ids=site_ids)
    if closed:
        raise Invalid(
            Fault(
                "reason",
                "reason_needed",
                "This changes {month}, a month that is closed and settled",
                "Give the reason for the change: it is recorded",
                values={"month": f"{closed[0]:%Y-%m}"},
            )
        )
