"""Which days a question is about: whole WITA days that are over, at most about a quarter of them."""

import re
from datetime import date, datetime, timedelta
from typing import NamedTuple

from app.core.clock import WITA, midnight, to_wita
from app.core.errors import Fault, Invalid
from app.core.periods import Period, first_of_next_month, parse_month

LONGEST = timedelta(days=100)


def parse_quarter(period: str) -> Period | None:
    """Parse `2026-Q4` as that whole quarter in WITA, future days included; None for anything else."""
    quarter = re.fullmatch(r"(20\d\d)-[Qq]([1-4])", period)
    if quarter is None:
        return None
    first = date(int(quarter[1]), 3 * int(quarter[2]) - 2, 1)
    return Period(midnight(first), midnight(first_of_next_month(first + timedelta(days=65))))


def parse_whole(period: str) -> Period | None:
    """Parse a month or a quarter; None for anything else."""
    return parse_quarter(period) or parse_month(period)


def clipped_to_whole_days(period: Period, now: datetime) -> Period:
    """Return the period up to the last midnight. Raises Invalid if it begins or ends within a day, or none is over."""
    today = midnight(now.astimezone(WITA).date())
    faults = [
        Fault(
            field,
            "not_whole_days",
            "{given} is not midnight (WITA): the method counts whole days",
            "Write a date alone, like 2026-11-01",
            values={"given": to_wita(moment).isoformat()},
        )
        for field, moment in (("from", period.start), ("to", min(period.end, today)))
        if to_wita(moment).time() != to_wita(today).time()
    ]
    if faults:
        raise Invalid(*faults)
    if period.start >= today:
        raise Invalid(Fault("period", "nothing_over", "No day of this period is over yet", "Choose an earlier one"))
    if period.end - period.start > LONGEST:
        raise Invalid(
            Fault("to", "too_long", "At most {days} days at once", "Ask by quarter", values={"days": LONGEST.days})
        )
    return Period(period.start, min(period.end, today))


class SamplePeriod(NamedTuple):
    """A month or quarter by its name, with its first day and the day after its last."""

    name: str
    starts_on: date
    ends_on: date


def parse_sample_period(name: str) -> SamplePeriod:
    """Raises Invalid unless it is a month or a quarter."""
    whole = parse_whole(name)
    if whole is None:
        raise Invalid(
            Fault(
                "period",
                "bad_period",
                "{given} is not a period",
                "Write it like 2026-12 or 2027-Q1",
                values={"given": name[:40]},
            )
        )
    return SamplePeriod(name.upper(), to_wita(whole.start).date(), to_wita(whole.end).date())
