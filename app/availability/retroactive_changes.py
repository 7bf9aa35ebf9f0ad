"""Changes to the past: each needs a reason, and what it affects is counted again."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close
from app.availability.intervals import TimeRange
from app.core.clock import WITA, midnight, today, utc_now
from app.core.errors import Fault
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange

JUST_NOW = timedelta(minutes=1)  # what begins or ends now may reach the server a little later

DayRange = tuple[date, date]  # the end exclusive; date.max: open-ended
Edge = TypeVar("Edge", date, datetime)


def check_reason(ranges: Iterable[TimeRange], reason: str | None) -> Iterator[Fault]:
    """Yield a fault if any of the ranges that change began before now, and no reason is given."""
    yield from _check(min((start for start, _ in ranges), default=None), utc_now() - JUST_NOW, reason)


def check_reason_of_days(days: Iterable[DayRange], reason: str | None) -> Iterator[Fault]:
    """Yield a fault if any of the days that change lies before today, and no reason is given."""
    yield from _check(min((midnight(start) for start, _ in days), default=None), midnight(today()), reason)


def _check(first: datetime | None, now: datetime, reason: str | None) -> Iterator[Fault]:
    if reason is None and first is not None and first < now:
        yield Fault(
            "reason",
            "reason_needed",
            "This changes what counts since {since}",
            "Give the reason for the change: it is recorded",
            values={"since": f"{first.astimezone(WITA):%Y-%m-%d %H:%M} WITA"},
        )


async def close_before(session: AsyncSession, days_of_sites: Iterable[tuple[int, DayRange]]) -> None:
    """Close what is due of these days as it stands: call it before contracts change on them."""
    days = list(days_of_sites)
    first = min((start for _, (start, _) in days), default=today())
    if first < today():
        await monthly_close.close_open_months(session, {site_id for site_id, _ in days}, first, now=utc_now())


async def invalidate(
    session: AsyncSession, site_ids: Sequence[int], ranges: Sequence[TimeRange], *, reason: str | None
) -> None:
    """Have these sites counted again over the past part of these ranges."""
    now = utc_now()
    past = [(start, min(end, now)) for start, end in ranges if start < min(end, now)]
    dirty = [DirtyRange(site_id, start, end) for site_id in site_ids for start, end in past]
    await invalidation.invalidate(session, dirty, reason=reason or "changed by hand")


async def invalidate_days(
    session: AsyncSession, days_of_sites: Iterable[tuple[int, DayRange]], *, reason: str | None
) -> None:
    """Have each site counted again over the past part of its days."""
    now, tomorrow = utc_now(), today() + timedelta(days=1)
    dirty = [
        DirtyRange(site_id, midnight(start), min(midnight(min(until, tomorrow)), now))
        for site_id, (start, until) in days_of_sites
        if start < min(until, tomorrow)
    ]
    await invalidation.invalidate(session, dirty, reason=reason or "changed by hand")


def symmetric_difference(before: tuple[Edge, Edge], after: tuple[Edge, Edge]) -> list[tuple[Edge, Edge]]:
    """Return what one of the two ranges covers and the other does not."""
    if before[1] <= after[0] or after[1] <= before[0]:
        return [before, after]
    edges = [tuple(sorted(pair)) for pair in zip(before, after, strict=True)]
    return [(low, high) for low, high in edges if low < high]
