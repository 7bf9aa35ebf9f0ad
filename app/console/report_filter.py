"""The filters of berita acara: of their list, and of the lines of one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.console.choices import MONTHS, Choices, last_months
from app.console.page import ConsoleRequest
from app.core.clock import utc_now
from app.pages.formats import month

FIELDS = ("contract", "provider", "period", "status")
YEARS = 3
LINES = 50  # of a page
SHOWN = ("all", "due", "missed", "undetermined", "objected")

Line = Mapping[str, Any]


def read(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given.get(name, "") for name in FIELDS}


def periods(console: ConsoleRequest) -> Choices:
    """Return the months that are over, and the years, the last one first."""
    return [
        *((f"{first:%Y-%m}", month(first, console.language)) for first in last_months(utc_now(), MONTHS + 1)[1:]),
        *years(utc_now()),
    ]


def years(now: datetime) -> Choices:
    this = last_months(now, 1)[0].year
    return [(f"{year}", f"{year}") for year in range(this, this - YEARS, -1)]


def is_shown(line: Line, chosen: str, objected: set[str]) -> bool:
    """Return whether a line belongs to one of SHOWN; all do to any other value."""
    if chosen == "due":
        return bool(line["restitution"]["idr"])
    if chosen == "missed":
        return bool(line["verdict"] == "missed")
    if chosen == "undetermined":
        return bool(line["verdict"] == "undetermined" or line["restitution"]["status"] == "not_provable")
    return bool(line["code"] in objected) if chosen == "objected" else True


def page_of(lines: Sequence[Line], asked: str) -> tuple[Sequence[Line], int, int]:
    """Return the lines of a page, its number from 1, and how many pages there are."""
    count = max(1, -(-len(lines) // LINES))
    number = min(max(1, int(asked) if asked.isdecimal() and len(asked) < 6 else 1), count)
    return lines[(number - 1) * LINES : number * LINES], number, count
