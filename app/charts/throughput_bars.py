"""Measured speed against what was contracted: a stem a test, downloads above and uploads below."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from app.charts.scale import grid_values
from app.charts.steps import step_line
from app.charts.svg import by_class, chart, element, joined, percent, plot, share_of, title
from app.charts.time_axis import HEIGHT as AXIS_HEIGHT
from app.charts.time_axis import time_axis
from app.charts.words import ChartWords

WIDTH = 1000
TOP, PANEL, GAP = 20, 80, 26
MAX_TESTS = 1_000  # the latest are drawn


class SpeedTest(NamedTuple):
    at: datetime
    counts: bool  # False: its figures are rejected
    down_mbps: float | None
    up_mbps: float | None
    contract_down_mbps: float | None  # on its day
    contract_up_mbps: float | None


class Point(NamedTuple):
    x: float
    mbps: float
    counts: bool
    title: str


def read_tests(items: Iterable[dict[str, Any]]) -> list[SpeedTest]:
    """Return the tests of `GET /sites/{id}/throughput` that have a result, the earliest first."""
    tests = [
        SpeedTest(
            datetime.fromisoformat(item["started_at"] or item["planned_at"]),
            item["status"] == "done",
            item["down_mbps"],
            item["up_mbps"],
            item["contract_down_mbps"],
            item["contract_up_mbps"],
        )
        for item in items
        if item["down_mbps"] is not None or item["up_mbps"] is not None
    ]
    return sorted(tests, key=lambda test: test.at)


def throughput_bars(
    tests: Sequence[SpeedTest], start: datetime, end: datetime, *, label: str, words: ChartWords
) -> Markup:
    """Return a panel a direction: each test as a stem, the contracted rate of its day as a line of steps."""
    tests = [test for test in tests if start <= test.at <= end][-MAX_TESTS:]
    down = [(test, test.down_mbps, test.contract_down_mbps) for test in tests]
    up = [(test, test.up_mbps, test.contract_up_mbps) for test in tests]
    below = TOP + PANEL + GAP
    return chart(
        label,
        _panel(down, start, end, y=TOP, name=words.text("download"), words=words),
        _panel(up, start, end, y=below, name=words.text("upload"), words=words),
        time_axis(start, end, y=below + PANEL, words=words),
        name="throughput",
        height=below + PANEL + AXIS_HEIGHT,
    )


Rates = Sequence[tuple[SpeedTest, float | None, float | None]]  # measured and contracted


def _panel(rates: Rates, start: datetime, end: datetime, *, y: float, name: str, words: ChartWords) -> Markup:
    grid = grid_values(max([0.0, *(max(measured or 0, contracted or 0) for _, measured, contracted in rates)]), 3)
    points = [
        Point(share_of(test.at, start, end), measured, test.counts, _title(test, measured, contracted, words))
        for test, measured, contracted in rates
        if measured is not None
    ]
    nothing = words.text("nothing measured in this period")
    return joined(
        (
            "" if points else element("text", nothing, x="50%", y=y + PANEL / 2, text_anchor="middle"),
            element("text", f"{name} (Mbps)", class_="name", y=y - 8),
            *(_grid_line(value, y + PANEL * (1 - value / grid[-1]), words) for value in grid),
            plot(
                element("path", d=step_line(_contract(rates, start, end, grid[-1])), class_="contract"),
                width=WIDTH,
                height=PANEL,
                y=y,
            ),
            by_class(points, lambda p: "test" if p.counts else "rejected", lambda p: _stem(p, grid[-1], y)),
        )
    )


def _grid_line(value: float, y: float, words: ChartWords) -> Markup:
    text = element("text", words.number(value), x="100%", y=y - 3, text_anchor="end")
    return element("g", element("line", x2="100%", y1=y, y2=y), text, class_="axis")


def _contract(rates: Rates, start: datetime, end: datetime, top: float) -> list[tuple[float, float, float | None]]:
    """Return steps of the contracted rate: from each test to the next one, from the first backwards to the start."""
    edges = [start, *(test.at for test, _, _ in rates[1:]), end]
    return [
        (
            round(WIDTH * share_of(begin, start, end), 1),
            round(WIDTH * share_of(until, start, end), 1),
            None if contracted is None else PANEL * (1 - contracted / top),
        )
        for begin, until, (_, _, contracted) in zip(edges, edges[1:], rates, strict=False)
    ]


def _stem(point: Point, top: float, y: float) -> Markup:
    """Return a stem with a dot, hollow where the test's figures are rejected (by its class)."""
    x, until = percent(point.x), y + PANEL * (1 - point.mbps / top)
    return element(
        "g",
        title(point.title),
        element("line", x1=x, x2=x, y1=y + PANEL, y2=until),
        element("circle", cx=x, cy=until, r=4),
    )


def _title(test: SpeedTest, measured: float, contracted: float | None, words: ChartWords) -> str:
    values = {"at": words.moment(test.at), "mbps": words.number(measured)}
    if not test.counts:
        return words.text("{at}: {mbps} Mbps, rejected", **values)
    if contracted is None:
        return words.text("{at}: {mbps} Mbps", **values)
    return words.text("{at}: {mbps} Mbps of {contracted} contracted", contracted=words.number(contracted), **values)
