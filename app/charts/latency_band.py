"""Round-trip times as a band from median to 95th percentile, and below it what was lost."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from app.charts.scale import grid_values
from app.charts.steps import step_band, step_line
from app.charts.svg import chart, element, joined, part, plot, share_of
from app.charts.time_axis import HEIGHT as AXIS_HEIGHT
from app.charts.time_axis import time_axis
from app.charts.words import ChartWords

WIDTH = 1000
TOP, BAND, GAP, LOSS = 16, 130, 20, 34
LOSS_TOP_PCT = 10.0  # the strip's least range: a percent more or less is not made a mountain
MAX_TITLES = 400


class LatencyPoint(NamedTuple):
    start: datetime
    end: datetime
    p50_ms: float | None
    p95_ms: float | None
    loss_pct: float | None


def read_latency(rows: Iterable[dict[str, Any]]) -> list[LatencyPoint]:
    """Return the `series` of `/latency`."""
    return [
        LatencyPoint(
            datetime.fromisoformat(row["start"]),
            datetime.fromisoformat(row["end"]),
            row["p50_ms"],
            row["p95_ms"],
            row["loss_pct"],
        )
        for row in rows
    ]


def latency_band(
    rows: Sequence[LatencyPoint],
    start: datetime,
    end: datetime,
    *,
    label: str,
    words: ChartWords,
    threshold_ms: float | None = None,
) -> Markup:
    """Return the band of a period; nothing is drawn where nothing was measured."""
    grid = grid_values(max([row.p95_ms or 0 for row in rows] + [threshold_ms or 0]))
    top, loss_top = grid[-1], max([LOSS_TOP_PCT] + [row.loss_pct or 0 for row in rows])
    loss_y = TOP + BAND + GAP
    return chart(
        label,
        joined(_grid_line(value, top) for value in grid),
        plot(*_band(rows, start, end, top), _threshold(threshold_ms, top), width=WIDTH, height=BAND, y=TOP),
        element("g", *(_grid_label(value, top, words) for value in grid), class_="axis"),
        _nothing(rows, words),
        element("text", words.text("packet loss, up to {share}", share=words.percent(loss_top)), y=loss_y - 5),
        plot(_losses(rows, start, end, loss_top), width=WIDTH, height=LOSS, y=loss_y),
        _titles(rows, start, end, words),
        time_axis(start, end, y=loss_y + LOSS, words=words),
        name="latency",
        height=loss_y + LOSS + AXIS_HEIGHT,
    )


def _grid_line(value: float, top: float) -> Markup:
    y = TOP + BAND * (1 - value / top)
    return element("g", element("line", x2="100%", y1=y, y2=y), class_="axis")


def _grid_label(value: float, top: float, words: ChartWords) -> Markup:
    """Return the label of a line, to be drawn over the band."""
    return element("text", f"{words.number(value)} ms", y=TOP + BAND * (1 - value / top) - 3)


def _nothing(rows: Sequence[LatencyPoint], words: ChartWords) -> Markup:
    if any(row.loss_pct is not None for row in rows):
        return Markup("")
    return element(
        "text", words.text("nothing measured in this period"), x="50%", y=TOP + BAND / 2, text_anchor="middle"
    )


def _band(rows: Sequence[LatencyPoint], start: datetime, end: datetime, top: float) -> tuple[Markup, Markup]:
    places = [(_x(row.start, start, end), _x(row.end, start, end)) for row in rows]
    p50 = [_y(row.p50_ms, top) for row in rows]
    band = [(*place, _y(row.p95_ms, top), y) for place, row, y in zip(places, rows, p50, strict=True)]
    line = [(*place, y) for place, y in zip(places, p50, strict=True)]
    return element("path", d=step_band(band), class_="band"), element("path", d=step_line(line), class_="line")


def _threshold(threshold_ms: float | None, top: float) -> Markup:
    y = _y(threshold_ms, top)
    return Markup("") if y is None else element("path", d=f"M0 {y:.1f}H{WIDTH}", class_="threshold")


def _losses(rows: Sequence[LatencyPoint], start: datetime, end: datetime, top: float) -> Markup:
    lost = [row for row in rows if row.loss_pct]
    bars = [
        (_x(row.start, start, end), _x(row.end, start, end), LOSS * (1 - (row.loss_pct or 0) / top), float(LOSS))
        for row in lost
    ]
    return element("path", d=joined([step_band([bar]) for bar in bars]), class_="loss")


def _titles(rows: Sequence[LatencyPoint], start: datetime, end: datetime, words: ChartWords) -> Markup:
    """Return invisible parts that tell the values under the pointer; too many are left to the table."""
    if len(rows) > MAX_TITLES:
        return Markup("")
    parts = [
        part("path", _title(row, words), d=f"M{x:.1f} 0H{_x(row.end, start, end):.1f}V1H{x:.1f}Z")
        for row in rows
        for x in [_x(row.start, start, end)]
    ]
    height = BAND + GAP + LOSS
    return element(
        "svg",
        *parts,
        y=TOP,
        width="100%",
        height=height,
        viewBox=f"0 0 {WIDTH} 1",
        preserveAspectRatio="none",
        class_="hover",
    )


def _title(row: LatencyPoint, words: ChartWords) -> str:
    values = {"start": words.moment(row.start), "loss": words.percent(row.loss_pct)}
    if row.loss_pct is None:
        return words.text("{start}: nothing measured", start=values["start"])
    if row.p50_ms is None:
        return words.text("{start}: no answer, loss {loss}", **values)
    p50, p95 = words.number(row.p50_ms), words.number(row.p95_ms)
    return words.text("{start}: p50 {p50} ms, p95 {p95} ms, loss {loss}", p50=p50, p95=p95, **values)


def _x(moment: datetime, start: datetime, end: datetime) -> float:
    return round(WIDTH * share_of(moment, start, end), 1)


def _y(value_ms: float | None, top: float) -> float | None:
    return None if value_ms is None else BAND * (1 - value_ms / top)
