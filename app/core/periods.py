"""The periods that callers ask for: from, to, period and step, as section "Times" of the contract has them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.core.clock import WITA, midnight
from app.core.errors import Fault, Invalid

MAX_ROWS = 10_000


class Step(StrEnum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Period:
    """UTC, whole seconds, the end exclusive; of what was measured, never in the future."""

    start: datetime
    end: datetime

    def cut(self, step: Step) -> Iterator["Period"]:
        """The parts by WITA hours, days or months; the first and the last may be shorter."""
        low = self.start
        while low < self.end:
            high = min(_next_cut(low, step), self.end)
            yield Period(low, high)
            low = high


def _next_cut(moment: datetime, step: Step) -> datetime:
    local = moment.astimezone(WITA)
    if step is Step.HOUR:
        return (local.replace(minute=0, second=0) + timedelta(hours=1)).astimezone(moment.tzinfo)
    if step is Step.DAY:
        return midnight(local.date() + timedelta(days=1))
    return midnight(first_of_next(local.date()))


def first_of_next(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def named_period(period: str, now: datetime) -> Period:
    """`24h`, `7d`: the last ones; `2026-11`: that month in WITA, as far as it has come."""
    if last := re.fullmatch(r"([1-9]\d{0,2})([hd])", period):
        hours = int(last[1]) * (24 if last[2] == "d" else 1)
        return Period(now - timedelta(hours=hours), now)
    if month := whole_month(period):
        if month.start >= now:
            raise Invalid(Fault("period", "in_the_future", "{given} has not begun", values={"given": period}))
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


def whole_month(period: str) -> Period | None:
    """`2026-11`: that month in WITA, the days that have not come included."""
    month = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", period)
    if month is None:
        return None
    first = date(int(month[1]), int(month[2]), 1)
    return Period(midnight(first), midnight(first_of_next(first)))


def chosen_step(period: Period, step: Step | None) -> Step:
    """The asked step, or one that gives a readable number of rows; raises Invalid when there would be over 10,000."""
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
