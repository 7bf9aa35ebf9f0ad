"""One day of a site or of a group: how much of it was good, bad or not measured."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from app.core.clock import to_wita


class Day(NamedTuple):
    day: date
    good: float  # seconds, or any other measure that adds up
    bad: float
    unknown: float

    @property
    def counted(self) -> float:
        return self.good + self.bad + self.unknown

    @property
    def uptime_pct(self) -> float | None:
        measured = self.good + self.bad
        return 100 * self.good / measured if measured else None


def read_days(rows: Iterable[dict[str, Any]]) -> list[Day]:
    """Return the days of a `series` of `/uptime` with `step=day`."""
    return [_day(row["start"], row["seconds"]) for row in rows]


def _day(start: datetime | str, seconds: dict[str, float]) -> Day:
    moment = datetime.fromisoformat(start) if isinstance(start, str) else start
    good, bad = seconds["up"] + seconds["degraded"], seconds["down"] + seconds["unreachable"]
    return Day(to_wita(moment).date(), good, bad, seconds["unknown"])
