"""Quarters: `2026-Q4`, three months in WITA."""

import re
from datetime import date, datetime

from app.core.clock import WITA, midnight
from app.core.errors import Fault, Invalid
from app.core.periods import Period

EXAMPLE, PATTERN = "2026-Q4", r"20\d\d-Q[1-4]"


def parse_quarter(name: str, now: datetime) -> Period:
    """Return the quarter up to now. Raises Invalid for what is none, and for one that has not begun."""
    if re.fullmatch(PATTERN, name) is None:
        raise Invalid(
            Fault(
                "period",
                "bad_quarter",
                "{given} is not a quarter",
                "Write it like 2026-Q4",
                values={"given": name[:40]},
            )
        )
    start, end = bounds_of(name)
    if midnight(start) >= now:
        raise Invalid(Fault("period", "in_the_future", "{given} is in the future", values={"given": name}))
    return Period(midnight(start), min(midnight(end), now))


def bounds_of(name: str) -> tuple[date, date]:
    """Return the first day of the quarter, and that of the next one."""
    year, first = int(name[:4]), 3 * int(name[6]) - 2
    return date(year, first, 1), date(year + first // 10, (first + 3) % 12, 1)


def quarter_of(day: date) -> str:
    return f"{day.year}-Q{(day.month + 2) // 3}"


def last_quarter(now: datetime) -> str:
    """Return the last quarter that is over."""
    today = now.astimezone(WITA).date()
    first = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
    return quarter_of(date.fromordinal(first.toordinal() - 1))
