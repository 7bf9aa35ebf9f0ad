"""A month of maintenance windows by day, in weeks from Monday to Sunday; days are WITA's. Pure."""

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from app.core.clock import midnight, to_wita
from app.core.periods import Period, first_of_next_month, parse_month
from app.pages.formats import as_moment

Window = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CalendarDay:
    date: date
    in_month: bool
    windows: list[Window] = field(default_factory=list)


def first_of(text: str, default: date) -> date:
    """Return the first day of `2026-11`; that of `default` for anything else."""
    month = parse_month(text)
    return default.replace(day=1) if month is None else to_wita(month.start).date()


def period_of(first: date) -> Period:
    """Return the weeks that a month's calendar shows."""
    days = calendar.Calendar().monthdatescalendar(first.year, first.month)
    return Period(midnight(days[0][0]), midnight(days[-1][-1] + timedelta(days=1)))


def month_weeks(first: date, windows: Iterable[Window]) -> list[list[CalendarDay]]:
    """Return the weeks of a month; each day has the windows that reach into it."""
    weeks = [
        [CalendarDay(day, day.month == first.month) for day in week]
        for week in calendar.Calendar().monthdatescalendar(first.year, first.month)
    ]
    by_date = {day.date: day for week in weeks for day in week}
    for window in windows:
        for day in days_of(window, min(by_date), max(by_date)):
            by_date[day].windows.append(window)
    return weeks


def days_of(window: Window, first: date, last: date) -> list[date]:
    """Return the days from first to last that a window reaches into; its end is exclusive."""
    start = to_wita(as_moment(window["started_at"])).date()
    end = to_wita(as_moment(window["ended_at"]) - timedelta(seconds=1)).date()
    day, days = max(start, first), []
    while day <= min(end, last):
        days.append(day)
        day += timedelta(days=1)
    return days


def neighbours(first: date) -> tuple[str, str]:
    """Return the months before and after, as `2026-11`."""
    return f"{first - timedelta(days=1):%Y-%m}", f"{first_of_next_month(first):%Y-%m}"
