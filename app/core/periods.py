"""Periods and steps: `24h`, `7d` or `2026-11` parsed, and cut into WITA hours, days or months."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.core.clock import WITA, midnight
from app.core.errors import Fault, Invalid

MAX_ROWS = 10_000


class Step(StrEnum):
    """`hour`, `day`, `month`: cut in WITA."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Period:
    """In UTC, whole seconds, the end exclusive."""

    start: datetime
    end: datetime

    @property
    def month(self) -> date | None:
        """Return the first day of the month in WITA that it is; None unless it is a whole one."""
        first = self.start.astimezone(WITA).date()
        return first if first.day == 1 and self == whole_month(first) else None

    def split(self, step: Step) -> Iterator["Period"]:
        """Yield its parts by WITA hours, days or months; the first and the last may be shorter."""
        low = self.start
        while low < self.end:
            high = min(_next_boundary(low, step), self.end)
            yield Period(low, high)
            low = high


def _next_boundary(moment: datetime, step: Step) -> datetime:
    local = moment.astimezone(WITA)
    if step is Step.HOUR:
        return (local.replace(minute=0, second=0) + timedelta(hours=1)).astimezone(moment.tzinfo)
    if step is Step.DAY:
        return midnight(local.date() + timedelta(days=1))
    return midnight(first_of_next_month(local.date()))


def whole_month(first: date) -> Period:
    """Return the month that begins on that day, in WITA."""
    return Period(midnight(first), midnight(first_of_next_month(first)))


def first_of_next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def parse_period(period: str, now: datetime) -> Period:
    """Parse `24h` or `7d`, the hours or days before `now`, or `2026-11`, that month in WITA up to `now`.

    Raises Invalid.
    """
    if last := re.fullmatch(r"([1-9]\d{0,2})([hd])", period):
        hours = int(last[1]) * (24 if last[2] == "d" else 1)
        return Period(now - timedelta(hours=hours), now)
    if month := parse_month(period):
        if month.start >= now:
            raise Invalid(Fault("period", "in_the_future", "{given} is in the future", values={"given": period}))
        return Period(month.start, min(month.end, now))
    raise Invalid(
        Fault(
            "period",
            "bad_period",
            "{given} is not a period",
            "Write it like 24h, 7d, 30d or 2026-11",
            values={"given": period[:40]},
        )
    )


def parse_month(period: str) -> Period | None:
    """Parse `2026-11` as that whole month in WITA, future days included; None for anything else."""
    month = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", period)
    if month is None:
        return None
    first = date(int(month[1]), int(month[2]), 1)
    return Period(midnight(first), midnight(first_of_next_month(first)))


def last_whole_month(now: datetime) -> Period:
    """Return the last month, in WITA, that is over."""
    end = now.astimezone(WITA).date().replace(day=1)
    return Period(midnight((end - timedelta(days=1)).replace(day=1)), midnight(end))


def resolve_step(period: Period, step: Step | None) -> Step:
    """Return `step`, or one that suits the period's length. Raises Invalid when there would be over 10,000 rows."""
    length = period.end - period.start
    if step is None:
        step = Step.HOUR if length <= timedelta(days=3) else Step.DAY if length <= timedelta(days=92) else Step.MONTH
    hours = {Step.HOUR: 1, Step.DAY: 24, Step.MONTH: 24 * 28}[step]
    if length / timedelta(hours=hours) > MAX_ROWS:
        raise Invalid(
            Fault(
                "step",
                "too_many_rows",
                "step={given} over this period yields over 10,000 rows",
                "Choose a longer step or a shorter period",
                values={"given": step.value},
            )
        )
    return step
