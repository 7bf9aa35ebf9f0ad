"""What the page of one site shows of a period: charts with their figures, from answers of the API."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from app.charts.day_grid import day_grid
from app.charts.days import read_days
from app.charts.latency_band import latency_band, read_latency
from app.charts.runs import read_runs
from app.charts.share_bar import share_bar
from app.charts.state_ribbon import Overlay, state_ribbon
from app.charts.throughput_bars import read_tests, throughput_bars
from app.console.page import ROOT, ConsoleRequest, base_of
from app.core.clock import midnight
from app.core.errors import Fault, Invalid
from app.core.periods import parse_month
from app.pages.chart_words import chart_words
from app.pages.formats import as_moment

STEPS = {"24h": "hour", "7d": "hour", "30d": "day", "365d": "day"}  # by period, of its figures
PAGE, MAX_PAGES = 1_000, 4  # of segments
SPEED_PERIODS = {"24h": "30d", "7d": "30d"}  # speed is tested less often than the link


@dataclass(frozen=True, slots=True)
class ChosenPeriod:
    """`name`: of STEPS, or a month such as 2026-11; "" for one day; `params`: as the API takes them."""

    name: str
    params: dict[str, str]
    step: str


@dataclass(frozen=True, slots=True)
class History:
    period: ChosenPeriod
    uptime: dict[str, Any]
    segments: list[dict[str, Any]]  # none for a period that is shown by days
    ribbon: Markup
    shares: Markup
    latency: dict[str, Any]
    latency_chart: Markup
    query: str  # of the period, for links to files
    more_segments: bool
    by_day: list[dict[str, Any]]  # rows of the days that are drawn instead of segments


def choose_period(period: str, day: str) -> ChosenPeriod:
    """Return one of the tabs' periods, a month, or a day of WITA. Raises Invalid for anything else."""
    if day:
        return _one_day(day)
    if period not in STEPS and parse_month(period) is None:
        raise Invalid(
            Fault(
                "period",
                "bad_period",
                "{given} is not a period",
                "Write it like 24h, 7d, 30d or 2026-11",
                values={"given": period[:40]},
            )
        )
    return ChosenPeriod(period, {"period": period}, STEPS.get(period, "day"))


def _one_day(text: str) -> ChosenPeriod:
    try:
        day = date.fromisoformat(text)
        start, end = midnight(day), midnight(day + timedelta(days=1))
    except (ValueError, OverflowError):
        raise Invalid(
            Fault("day", "bad_day", "{given} is not a day", "Write it like 2026-11-24", values={"given": text[:40]})
        ) from None
    return ChosenPeriod("", {"from": start.isoformat(), "to": end.isoformat()}, "hour")


async def history(console: ConsoleRequest, site: dict[str, Any], chosen: ChosenPeriod, rtt_ms: int | None) -> History:
    """Read and draw a period; `rtt_ms`: the limit above which the site is degraded."""
    path = f"/sites/{site['id']}"
    segments, more = ([], False) if chosen.name == "365d" else await _segments(console, path, chosen)
    by_day = more or chosen.name == "365d"
    uptime = await console.api.get(f"{path}/uptime", step="day" if by_day else chosen.step, **chosen.params)
    latency = await console.api.get(f"{path}/latency", step=chosen.step, **chosen.params)
    start, end = as_moment(uptime["from"]), as_moment(uptime["to"])
    words = chart_words(console.language)
    if by_day:
        ribbon = _days(console, site, uptime)
    else:
        ribbon = state_ribbon(
            read_runs(segments),
            start,
            end,
            label=console.text("State of {site} over time", site=site["name"]),
            words=words,
            overlays=await _overlays(console, site, start, end),
            link=lambda at: _why(console, site, at),
            gap="inactive",
        )
    seconds = {name: s for name, s in uptime["total"]["seconds"].items() if name != "claimed"}
    return History(
        chosen,
        uptime,
        segments,
        ribbon,
        share_bar(seconds, label=console.text("Share of each state"), words=words),
        latency,
        latency_band(
            read_latency(latency["series"]),
            start,
            end,
            label=console.text("Latency and packet loss"),
            words=words,
            threshold_ms=rtt_ms,
        ),
        "&".join(f"{name}={quote(value)}" for name, value in chosen.params.items()),
        more,
        [row for row in uptime["series"] if row["coverage_pct"] is not None] if by_day else [],
    )


async def _segments(console: ConsoleRequest, path: str, chosen: ChosenPeriod) -> tuple[list[dict[str, Any]], bool]:
    """Return the segments of the first pages, and whether there are more."""
    items: list[dict[str, Any]] = []
    cursor = None
    for _ in range(MAX_PAGES):
        page = await console.api.get(f"{path}/segments", limit=PAGE, cursor=cursor, **chosen.params)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return items, cursor is not None


def _days(console: ConsoleRequest, site: dict[str, Any], uptime: dict[str, Any]) -> Markup:
    return day_grid(
        read_days(uptime["series"]),
        label=console.text("Uptime of {site} by day", site=site["name"]),
        words=chart_words(console.language),
        link=lambda day: f"{_path(console, site)}?day={day.isoformat()}",
    )


def _why(console: ConsoleRequest, site: dict[str, Any], at: datetime) -> str:
    return f"{_path(console, site)}/why?at={quote(at.replace(microsecond=0).isoformat())}"


def _path(console: ConsoleRequest, site: dict[str, Any]) -> str:
    return f"{base_of(console.request)}{ROOT}/sites/{site['id']}"


async def _overlays(console: ConsoleRequest, site: dict[str, Any], start: datetime, end: datetime) -> list[Overlay]:
    """Return maintenance, and when we could not measure."""
    bounds = {"from": start.isoformat(), "to": end.isoformat()}
    windows = (await console.api.get("/maintenance", site=site["id"], **bounds))["items"]
    source = "silence" if site["probe"] == "push" else "central"
    blind = (await console.api.get("/blind-ranges", source=source, limit=200, **bounds))["items"]
    overlays = [
        _overlay(window, "maintenance", console.text("Maintenance: {title}", title=window["title"]), start, end)
        for window in windows
        if window["status"] != "cancelled"
    ]
    overlays += [
        _overlay(gap, "blind", console.text("We could not measure"), start, end)
        for gap in blind
        if gap["kind"] == "blind"
    ]
    return [overlay for overlay in overlays if overlay.start < overlay.end]


def _overlay(row: dict[str, Any], kind: str, title: str, start: datetime, end: datetime) -> Overlay:
    return Overlay(max(as_moment(row["started_at"]), start), min(as_moment(row["ended_at"]), end), kind, title)


async def throughput(console: ConsoleRequest, site: dict[str, Any], chosen: ChosenPeriod) -> dict[str, Any]:
    """Return the speed tests with a `chart` of them; of short periods those of 30 days."""
    params = {"period": SPEED_PERIODS.get(chosen.name, chosen.name)} if chosen.name else {"period": "30d"}
    found: dict[str, Any] = await console.api.get(f"/sites/{site['id']}/throughput", limit=200, **params)
    tests = read_tests(found["items"])
    chart = throughput_bars(
        tests,
        as_moment(found["from"]),
        as_moment(found["to"]),
        label=console.text("Measured speed against the contract"),
        words=chart_words(console.language),
    )
    return {**found, "chart": chart if tests else None, "query": f"period={params['period']}"}
