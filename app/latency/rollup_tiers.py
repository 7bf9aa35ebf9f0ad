"""Out of which counted rows a period is put together: the longest that lie wholly in it. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.core.clock import WITA, midnight
from app.core.periods import Step

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Tier(StrEnum):
    RAW = "raw"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Counted:
    """Up to where hours and days (with their regions and whole months) are counted, and which days are stale."""

    hours: datetime
    days: datetime
    stale: Collection[date] = ()

    def reach(self, tier: Tier) -> datetime:
        return self.hours if tier is Tier.HOUR else self.days


@dataclass(frozen=True, slots=True)
class Piece:
    tier: Tier
    start: datetime
    end: datetime


def pieces(start: datetime, end: datetime, tiers: Sequence[Tier], counted: Counted) -> Iterator[Piece]:
    """`tiers` from the longest to the hour; what none of them can give is left to single readings."""
    if start >= end:
        return
    if not tiers:
        yield Piece(Tier.RAW, start, end)
        return
    tier, *shorter = tiers
    low, high = ceil(start, tier), floor(min(end, counted.reach(tier)), tier)
    if low >= high:
        yield from pieces(start, end, shorter, counted)
        return
    yield from pieces(start, low, shorter, counted)
    for stale in _stale(low, high, tier, counted.stale):
        if low < stale:
            yield Piece(tier, low, stale)
        low = following(stale, tier)
        yield from pieces(stale, low, shorter, counted)
    if low < high:
        yield Piece(tier, low, high)
    yield from pieces(high, end, shorter, counted)


def _stale(low: datetime, high: datetime, tier: Tier, days: Collection[date]) -> list[datetime]:
    """Starts of the days or months that hold a stale hour; of stale hours the query itself takes care."""
    if tier is Tier.HOUR:
        return []
    return sorted({start for day in days if low <= (start := floor(midnight(day), tier)) < high})


def floor(moment: datetime, tier: Tier | Step) -> datetime:
    local = moment.astimezone(WITA).replace(minute=0, second=0, microsecond=0)
    if tier in {Tier.DAY, Tier.MONTH}:
        local = local.replace(hour=0)
    if tier == Tier.MONTH:
        local = local.replace(day=1)
    return local.astimezone(moment.tzinfo)


def following(start: datetime, tier: Tier) -> datetime:
    """The start of the next hour, day or month after one's start."""
    length = {Tier.HOUR: HOUR, Tier.DAY: DAY}.get(tier, timedelta(days=32))
    return floor(start + length, tier)


def ceil(moment: datetime, tier: Tier) -> datetime:
    low = floor(moment, tier)
    return low if low == moment else following(low, tier)
