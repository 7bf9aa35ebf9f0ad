"""Parse a day as districts write it: 2026-01-31, 31/01/2026, 31-1-2026, 31 Januari 2026."""

import re
from datetime import date

from app.core.errors import Fault
from app.core.validation import FaultError, as_text

FIELDS = frozenset({"contract_from"})
ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
DAY_FIRST = re.compile(r"(\d{1,2})[ /.-](\d{1,2}|[^\W\d_]{3,10})[ /.-](\d{4})")
MONTHS = {
    **{
        name: number
        for number, name in enumerate(
            ["jan", "feb", "mar", "apr", "mei", "jun", "jul", "agu", "sep", "okt", "nov", "des"], 1
        )
    },
    "may": 5,
    "aug": 8,
    "ags": 8,
    "agt": 8,
    "oct": 10,
    "dec": 12,
}


def parse(field: str, text: str) -> date:
    """Return the day; the day of the month comes before the month. Raises FaultError."""
    if match := ISO.fullmatch(text):
        year, month, day = match.groups()
    elif match := DAY_FIRST.fullmatch(text):
        day, month, year = match.groups()
    else:
        raise FaultError(_bad_date(field, text))
    try:
        found = date(int(year), int(month) if month.isdecimal() else MONTHS[month[:3].lower()], int(day))
    except (KeyError, ValueError):
        raise FaultError(_bad_date(field, text)) from None
    if not 2000 <= found.year <= 2200:
        raise FaultError(_bad_date(field, text))
    return found


def _bad_date(field: str, text: str) -> Fault:
    values = {"given": as_text(text), "example": "2026-11-24"}
    return Fault(field, "bad_date", "{given} is not a date", "Write it like {example}", values=values)
