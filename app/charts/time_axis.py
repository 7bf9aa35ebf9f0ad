"""Ticks of a time axis, at whole hours, days or months in WITA."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from markupsafe import Markup

from app.charts.svg import element, joined, percent, share_of
from app.charts.words import ChartWords
from app.core.clock import midnight, to_wita

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = (  # the longest period of a step: at most eleven labels, which a phone has room for
    (timedelta(hours=1), timedelta(minutes=10)),
    (timedelta(hours=3), timedelta(minutes=30)),
    (timedelta(hours=8), HOUR),
    (timedelta(hours=26), 4 * HOUR),
    (timedelta(hours=50), 8 * HOUR),
    (timedelta(days=9), DAY),
    (timedelta(days=20), 3 * DAY),
    (timedelta(days=32), 5 * DAY),
    (timedelta(days=100), 14 * DAY),
)
LAST_LABEL, LAST_CLOCK = 0.93, 0.8  # of the width: one further right would be cut off, or stand in the zone's place
HEIGHT = 20.0


class Tick(NamedTuple):
    moment: datetime
    is_day: bool


def ticks(start: datetime, end: datetime) -> list[Tick]:
    step = next((step for longest, step in STEPS if end - start <= longest), None)
    if step is None:
        moments = _months(to_wita(start).date(), end)
    else:
        moments = _steps(midnight(to_wita(start).date()), end, step)
    return [Tick(moment, _is_midnight(moment)) for moment in moments if start <= moment < end]


def _steps(first: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    moment = first
    while moment < end:
        yield moment
        moment += step


def _months(day: date, end: datetime) -> Iterator[datetime]:
    day = day.replace(day=1)
    while midnight(day) < end:
        yield midnight(day)
        day = (day + timedelta(days=31)).replace(day=1)


def _is_midnight(moment: datetime) -> bool:
    local = to_wita(moment)
    return local.hour == local.minute == 0


def time_axis(start: datetime, end: datetime, *, y: float, words: ChartWords) -> Markup:
    """Return tick lines below `y` with their labels: days by date, hours by the clock, of which the zone is named."""
    shown = [(share_of(tick.moment, start, end), tick) for tick in ticks(start, end)]
    lines = [element("line", x1=percent(x), x2=percent(x), y1=y, y2=y + 4 + 12 * tick.is_day) for x, tick in shown]
    by_clock = any(not tick.is_day for _, tick in shown)
    last = LAST_CLOCK if by_clock else LAST_LABEL
    labels = [element("text", _label(tick, words), x=percent(x), dx=3, y=y + 15) for x, tick in shown if x <= last]
    zone = element("text", "WITA", x="100%", y=y + 15, text_anchor="end") if by_clock else ""
    return element("g", joined(lines), joined(labels), zone, class_="axis")


def _label(tick: Tick, words: ChartWords) -> str:
    return words.short_day(to_wita(tick.moment).date()) if tick.is_day else words.clock(tick.moment)
