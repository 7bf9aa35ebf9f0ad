"""When a site that is present only at times is not to be heard: outside its public hours, by their dates. Pure."""

from collections.abc import Iterator

from app.availability.intervals import IntervalMap, clip
from app.availability.policy import DAY_S, WITA_S
from app.core.daily_window import MINUTES, DailyWindow
from app.registry.configuration import ConfigurationInForce


def closed_hours(configurations: IntervalMap[ConfigurationInForce], low: int, high: int) -> IntervalMap[bool]:
    """Return what lies outside open hours, of configurations that have any."""
    closed: IntervalMap[bool] = []
    for start, end, configuration in clip(configurations, low, high):
        if configuration.open_hours:
            closed += _without(start, end, sorted(_open(configuration.open_hours, start, end)))
    return closed


def _open(windows: tuple[DailyWindow, ...], start: int, end: int) -> Iterator[tuple[int, int]]:
    first = (start + WITA_S) // DAY_S - 1  # the previous day's hours may end after midnight
    for day in range(first, (end + WITA_S) // DAY_S + 1):
        for window in windows:
            opens = day * DAY_S - WITA_S + window.start * 60
            closes = opens + ((window.end - window.start) % MINUTES or MINUTES) * 60
            if opens < end and closes > start:
                yield opens, closes


def _without(start: int, end: int, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int, bool]]:
    done = start
    for opens, closes in ranges:
        if done < opens:
            yield done, opens, True
        done = max(done, closes)
    if done < end:
        yield done, end, True
