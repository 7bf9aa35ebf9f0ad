"""The grid: months as rows, days as columns; a cell's colour and height tell the day's uptime, the worse the taller."""

from collections.abc import Callable, Sequence
from datetime import date
from itertools import groupby

from markupsafe import Markup

from app.charts.days import Day
from app.charts.svg import TAB_STOPS, by_class, chart, element, joined, part, percent
from app.charts.uptime_class import uptime_class
from app.charts.words import ChartWords

LABEL = 5  # columns that the month's name takes
COLUMNS, ROW, CELL, TOP = 31 + LABEL, 26, 22, 14
HEIGHTS = {"u5": 10, "u4": 13, "u3": 16, "u2": 19, "u1": 22, "u0": 10}
NUMBERED = (1, 5, 10, 15, 20, 25, 30)


def day_grid(
    days: Sequence[Day], *, label: str, words: ChartWords, link: Callable[[date], str] | None = None
) -> Markup:
    """Return the grid of days in order, a day without counted time left out; each cell leads to `link` of its day."""
    months = [list(group) for _, group in groupby(days, key=lambda day: day.day.replace(day=1))]
    rows = [(TOP + ROW * index, month) for index, month in enumerate(months)]
    names = [element("text", words.short_month(month[0].day), x=0, y=y + CELL - 6) for y, month in rows]
    numbers = [element("text", str(day), x=_x(day, 0.5), y=10, text_anchor="middle") for day in NUMBERED]
    cells = [(y, day) for y, month in rows for day in month if day.counted]

    def draw(cell: tuple[int, Day]) -> Markup:
        y, day = cell
        height = HEIGHTS[uptime_class(day.uptime_pct)]
        return part(
            "rect",
            day_title(day, words),
            link(day.day) if link else None,
            tab_stop=len(cells) <= TAB_STOPS,
            x=_x(day.day.day),
            width=percent(0.88 / COLUMNS),
            y=y + CELL - height,
            height=height,
        )

    return chart(
        label,
        element("g", joined(names), joined(numbers), class_="axis"),
        by_class(cells, lambda cell: uptime_class(cell[1].uptime_pct), draw),
        name="grid",
        height=TOP + ROW * len(rows),
        linked=link is not None,
    )


def day_title(day: Day, words: ChartWords) -> str:
    """Return the day's uptime with its bounds and coverage, in words."""
    if day.uptime_pct is None:
        return words.text("{day}: not enough evidence", day=words.day(day.day))
    return words.text(
        "{day}: uptime {uptime}, bounds {worst} to {best}, coverage {coverage}",
        day=words.day(day.day),
        uptime=words.percent(day.uptime_pct),
        worst=words.percent(100 * day.good / day.counted),
        best=words.percent(100 * (day.good + day.unknown) / day.counted),
        coverage=words.percent(100 * (day.good + day.bad) / day.counted),
    )


def _x(day_of_month: int, within: float = 0) -> str:
    return percent((LABEL + day_of_month - 1 + within) / COLUMNS)
