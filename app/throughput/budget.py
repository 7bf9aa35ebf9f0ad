"""When a site's speed is measured: as often in a month as its budget and the spacing allow, at every hour. Pure.

Only the allowed hours count: they are one line of time, on which tests lie a step apart. Each site begins at a place of
its own in that step, so that a thousand sites come one by one; and the step is chosen so that the hours of the day take
turns.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from math import ceil

from app.core.clock import midnight
from app.core.periods import first_of_next

MB = 1_000_000
SLACK_BYTES = 65_536  # by so much a download may pass its limit (probes/throughput.py)
UP_SLACK_BYTES = 327_680  # an upload: as much is read at once, and waits, before anybody counts it
PUSH_BYTES = 6_000  # what a push costs on the air until that is known: a handshake, headers, a batch
DOWN_SHARE = 0.75  # of what a push test may cost: villages download
LONGEST_WAIT = timedelta(hours=1)
GOLDEN = 0.6180339887498949
DAY_S, HOUR_S = 86_400, 3_600
FRACTIONS = 16


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a site may spend, and when."""

    monthly_bytes: int
    test_bytes: int  # the most that one test may cost
    spacing_s: int
    hours: tuple[int, int] = (0, 24)  # WITA, [from, to), may cross midnight
    max_s: int = 10  # either direction
    push_every_s: int | None = None  # of a site that pushes: that is paid by the same budget

    @property
    def open_s(self) -> int:
        """Of a day."""
        return ((self.hours[1] - self.hours[0] - 1) % 24 + 1) * HOUR_S

    def pushes_bytes(self, seconds: float, *, each: float = PUSH_BYTES) -> int:
        """What pushing for so long will cost."""
        return ceil(max(0.0, seconds) / self.push_every_s * each) if self.push_every_s else 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The moments of one month; `step_s` of allowed time lies between two."""

    start: datetime
    end: datetime
    hours: tuple[int, int]
    open_s: int
    count: int
    step_s: float
    phase: float

    @property
    def moments(self) -> list[datetime]:
        return [self._at((number + self.phase) * self.step_s) for number in range(self.count)]

    def waits_until(self, moment: datetime) -> datetime:
        """How long a test may wait for its turn: half a step and an hour at most, within its hours and its month."""
        since_open_s = ((moment - self.start).total_seconds() - self.hours[0] * HOUR_S) % DAY_S
        left = timedelta(seconds=self.open_s - since_open_s) if self.open_s < DAY_S else LONGEST_WAIT
        return min(moment + min(LONGEST_WAIT, timedelta(seconds=self.step_s / 2), left), self.end)

    def _at(self, open_s: float) -> datetime:
        """Where a second of the allowed time lies in the month."""
        day, within_s = divmod(int(open_s), self.open_s)
        into_s = within_s + self.hours[0] * HOUR_S
        if self.open_s < DAY_S and self.hours[0] * HOUR_S + self.open_s > DAY_S:  # what crosses midnight ends its day
            into_s = within_s if within_s < self.hours[1] * HOUR_S else into_s - self.hours[1] * HOUR_S
        elif self.open_s == DAY_S:
            into_s = within_s
        return self.start + timedelta(days=day, seconds=into_s)


def month_end(month: date) -> datetime:
    return midnight(first_of_next(month))


def plan(allowance: Allowance, month: date, key: int) -> Plan:
    """The month's plan of the site `key`: the same whenever it is made."""
    start, end = midnight(month), month_end(month)
    whole_s = (end - start).days * allowance.open_s
    left = allowance.monthly_bytes - allowance.pushes_bytes((end - start).total_seconds())
    by_budget = max(0, left) // allowance.test_bytes
    shortest_s = _shortest_step_s(allowance.spacing_s, allowance.open_s)
    most = min(by_budget, int(whole_s / shortest_s))
    count, step_s = _turning(most, whole_s, shortest_s, allowance.open_s)
    return Plan(start, end, allowance.hours, allowance.open_s, count, step_s, key * GOLDEN % 1)


def _shortest_step_s(spacing_s: int, open_s: int) -> float:
    """So much allowed time apart, two tests are never nearer than the spacing: each full day of it brings a night."""
    days, rest_s = divmod(spacing_s, DAY_S)
    return max(1.0, days * open_s + min(rest_s, open_s))


@cache
def _turning(most: int, whole_s: int, shortest_s: float, open_s: int) -> tuple[int, float]:
    """How many, and the step at which their hours differ most. One is given up where all would lie at few hours."""
    if most == 0:
        return 0, float(whole_s)
    best: tuple[float, int, float] | None = None
    for count in (most, most - 1):
        for fraction in range(FRACTIONS) if count else ():
            step_s = whole_s / (count + fraction / FRACTIONS)
            if step_s < shortest_s:
                break
            gap_s = _widest_gap_s(count, step_s, open_s)
            if best is None or gap_s < best[0] * (1 if count == best[1] else 0.5):
                best = gap_s, count, step_s
        if best is not None and best[0] <= max(HOUR_S, 2.5 * open_s / count):
            break
    assert best is not None
    return best[1], best[2]


def _widest_gap_s(count: int, step_s: float, open_s: int) -> float:
    """Of the day, round the clock, without a test at any time of the month."""
    places = sorted(number * step_s % open_s for number in range(count))
    return max([b - a for a, b in pairwise(places)] + [places[0] + open_s - places[-1]])
