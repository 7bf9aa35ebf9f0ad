"""Splits a period into the longest rolled-up units (months, days, hours) that lie wholly in it, and raw rests. Pure."""

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
class RollupProgress:
    """Up to when hours and days (with their regions and whole months) are rolled up, and which days are stale."""

    hours: datetime
    days: datetime
    stale_days: Collection[date] = ()

    def rolled_up_to(self, tier: Tier) -> datetime:
        return self.hours if tier is Tier.HOUR else self.days


@dataclass(frozen=True, slots=True)
class TierRange:
    tier: Tier
    start: datetime
    end: datetime


def split_by_tier(
    start: datetime, end: datetime, tiers: Sequence[Tier], progress: RollupProgress
) -> Iterator[TierRange]:
    """Yield ranges in order that cover start to end. `tiers` from the longest to the hour; the rest is read raw."""
    if start >= end:
        return
    if not tiers:
        yield TierRange(Tier.RAW, start, end)
        return
    tier, *shorter = tiers
    low, high = ceil(start, tier), floor(min(end, progress.rolled_up_to(tier)), tier)
    if low >= high:
        yield from split_by_tier(start, end, shorter, progress)
        return
    yield from split_by_tier(start, low, shorter, progress)
    for stale in _stale_units(low, high, tier, progress.stale_days):
        if low < stale:
            yield TierRange(tier, low, stale)
        low = next_start(stale, tier)
        yield from split_by_tier(stale, low, shorter, progress)
    if low < high:
        yield TierRange(tier, low, high)
    yield from split_by_tier(high, end, shorter, progress)


def _stale_units(low: datetime, high: datetime, tier: Tier, stale_days: Collection[date]) -> list[datetime]:
    """Return the starts of days or months with a stale hour. Stale hours themselves are left out by the query."""
    if tier is Tier.HOUR:
        return []
    return sorted({start for day in stale_days if low <= (start := floor(midnight(day), tier)) < high})


def floor(moment: datetime, tier: Tier | Step) -> datetime:
    local = moment.astimezone(WITA).replace(minute=0, second=0, microsecond=0)
    if tier in {Tier.DAY, Tier.MONTH}:
        local = local.replace(hour=0)
    if tier == Tier.MONTH:
        local = local.replace(day=1)
    return local.astimezone(moment.tzinfo)


def next_start(start: datetime, tier: Tier) -> datetime:
    """Return the start of the next hour, day or month, given the start of one."""
    length = {Tier.HOUR: HOUR, Tier.DAY: DAY}.get(tier, timedelta(days=32))
    return floor(start + length, tier)


def ceil(moment: datetime, tier: Tier) -> datetime:
    low = floor(moment, tier)
    return low if low == moment else next_start(low, tier)
