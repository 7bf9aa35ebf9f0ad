"""Plan when a site's speed is tested in a month: as often as budget and spacing allow, spread over the hours. Pure.

The allowed hours of the month are joined to one time line, on which tests lie a constant step apart. Each site has its
own phase within the step, so that sites do not coincide; the step is chosen so that tests rotate through all hours.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from math import ceil

from app.core.clock import WITA, midnight
from app.core.periods import first_of_next_month

MB = 1_000_000
SLACK_BYTES = 65_536  # a download may exceed its limit by this much (probes/throughput.py)
UP_SLACK_BYTES = 327_680  # an upload: read or buffered before it is counted
PUSH_BYTES = 8_000  # assumed cost of a push until it is known: handshake, headers, a batch
MIN_PUSHES = 20  # in the month, from which the average cost of one is used
DOWN_SHARE = 0.75  # of a push test's bytes: villages mostly download
MAX_WAIT = timedelta(hours=1)
GOLDEN_RATIO = 0.6180339887498949
DAY_S, HOUR_S = 86_400, 3_600
STEP_FRACTIONS = 16


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a site may spend on speed tests, and when."""

    monthly_bytes: int
    test_bytes: int  # maximum cost of one test
    spacing_s: int
    hours: tuple[int, int] = (0, 24)  # WITA, [from, to), may cross midnight
    max_s: int = 10  # for each direction
    push_every_s: int | None = None  # of a push site: its pushes are paid from the same budget
    visits_bytes: int = 0  # visitors' share of the monthly bytes: what they spend beyond it stops no test

    @property
    def open_s(self) -> int:
        """Return the allowed seconds of a day."""
        return ((self.hours[1] - self.hours[0] - 1) % 24 + 1) * HOUR_S

    def is_open(self, now: datetime) -> bool:
        hour, (first, last) = now.astimezone(WITA).hour, self.hours
        return first <= hour < last if first < last else hour >= first or hour < last

    def pushes_bytes(self, seconds: float, *, each: float = PUSH_BYTES) -> int:
        """Return the expected cost of the site's pushes over this time."""
        return ceil(max(0.0, seconds) / self.push_every_s * each) if self.push_every_s else 0


@dataclass(frozen=True, slots=True)
class MonthPlan:
    """One site's test times in a month, `step_s` of allowed time apart."""

    start: datetime
    end: datetime
    hours: tuple[int, int]
    open_s: int
    count: int
    step_s: float
    phase: float

    @property
    def moments(self) -> list[datetime]:
        return [self._moment(number) for number in range(self.count)]

    def first_after(self, moment: datetime) -> datetime | None:
        """Return when the first test after a moment is; None after the month's last."""
        number = bisect_right(range(self.count), moment, key=self._moment)
        return self._moment(number) if number < self.count else None

    def has(self, moment: datetime) -> bool:
        return self.first_after(moment - datetime.resolution) == moment

    def _moment(self, number: int) -> datetime:
        return self._at((number + self.phase) * self.step_s)

    def waits_until(self, moment: datetime) -> datetime:
        """Return until when a test may wait: half a step, at most an hour, within the allowed hours and the month."""
        since_open_s = ((moment - self.start).total_seconds() - self.hours[0] * HOUR_S) % DAY_S
        left = timedelta(seconds=self.open_s - since_open_s) if self.open_s < DAY_S else MAX_WAIT
        return min(moment + min(MAX_WAIT, timedelta(seconds=self.step_s / 2), left), self.end)

    def _at(self, open_s: float) -> datetime:
        """Convert a second of allowed time to a moment in the month."""
        day, within_s = divmod(int(open_s), self.open_s)
        into_s = within_s + self.hours[0] * HOUR_S
        if (
            self.open_s < DAY_S and self.hours[0] * HOUR_S + self.open_s > DAY_S
        ):  # hours that cross midnight belong to the day on which they end
            into_s = within_s if within_s < self.hours[1] * HOUR_S else into_s - self.hours[1] * HOUR_S
        elif self.open_s == DAY_S:
            into_s = within_s
        return self.start + timedelta(days=day, seconds=into_s)


def month_end(month: date) -> datetime:
    return midnight(first_of_next_month(month))


def push_bytes(total: int, pushes: int) -> float:
    """Return what a push of the month cost on average; what is assumed while there are few."""
    return total / pushes if pushes >= MIN_PUSHES else PUSH_BYTES


def plan_month(allowance: Allowance, month: date, site_id: int) -> MonthPlan:
    """Return the site's plan; deterministic."""
    start, end = midnight(month), month_end(month)
    whole_s = (end - start).days * allowance.open_s
    left = allowance.monthly_bytes - allowance.pushes_bytes((end - start).total_seconds())
    by_budget = max(0, left) // allowance.test_bytes
    shortest_s = _shortest_step_s(allowance.spacing_s, allowance.open_s)
    max_count = min(by_budget, int(whole_s / shortest_s))
    count, step_s = _choose_step(max_count, whole_s, shortest_s, allowance.open_s)
    return MonthPlan(start, end, allowance.hours, allowance.open_s, count, step_s, site_id * GOLDEN_RATIO % 1)


def _shortest_step_s(spacing_s: int, open_s: int) -> float:
    """Return the least allowed time between two tests that keeps the spacing, which is in real time."""
    days, rest_s = divmod(spacing_s, DAY_S)
    return max(1.0, days * open_s + min(rest_s, open_s))


@cache
def _choose_step(max_count: int, whole_s: int, shortest_s: float, open_s: int) -> tuple[int, float]:
    """Return the number of tests and the step that leaves the narrowest gap in the day without a test.

    One test is dropped where `max_count` of them would all fall into few hours.
    """
    if max_count == 0:
        return 0, float(whole_s)
    best: tuple[float, int, float] | None = None
    for count in (max_count, max_count - 1):
        for fraction in range(STEP_FRACTIONS) if count else ():
            step_s = whole_s / (count + fraction / STEP_FRACTIONS)
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
    """Return the widest gap in a day's allowed hours in which no test of the month falls."""
    offsets = sorted(number * step_s % open_s for number in range(count))
    return max([b - a for a, b in pairwise(offsets)] + [offsets[0] + open_s - offsets[-1]])
