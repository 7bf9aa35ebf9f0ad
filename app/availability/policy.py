"""What a contract counts, and when it is in force: dated terms as a track. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal

from app.availability.intervals import ALWAYS, Track, clip
from app.core.clock import WITA, midnight, to_slot

DAY_S = 86_400
WITA_S = round(WITA.utcoffset(None).total_seconds())


@dataclass(frozen=True, slots=True)
class Policy:
    sla_target_pct: Decimal
    min_outage_s: int = 0
    excluded_causes: frozenset[str] = frozenset()
    excuses_parent: bool = False
    service_from: time | None = None  # WITA; all day without it
    service_to: time | None = None  # before service_from: it crosses midnight

    def excuses(self, state: str, cause: str | None) -> bool:
        return cause in self.excluded_causes or (state == "unreachable" and self.excuses_parent)


@dataclass(frozen=True, slots=True)
class InForce:
    """A policy at some time, and whether that time is one of its service hours."""

    policy: Policy
    serving: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contract: the days it is valid, and its terms by the day they start on, in order."""

    valid_from: date
    valid_to: date | None  # exclusive
    terms: list[tuple[date, Policy]]

    @property
    def track(self) -> Track[Policy]:
        starts = [to_slot(midnight(day)) for day, _ in self.terms]
        ends = [*starts[1:], ALWAYS]
        until = ALWAYS if self.valid_to is None else to_slot(midnight(self.valid_to))
        whole = [(a, b, policy) for a, b, (_, policy) in zip(starts, ends, self.terms, strict=True)]
        return clip(whole, to_slot(midnight(self.valid_from)), until)


def in_force(track: Track[Policy], low: int, high: int) -> Track[InForce]:
    """The policies from low to high, cut by their service hours."""
    found: Track[InForce] = []
    for start, end, policy in clip(track, low, high):
        served = start
        for opens, closes in _service_hours(policy, start, end):
            if served < opens:
                found.append((served, opens, InForce(policy, False)))
            found.append((opens, closes, InForce(policy, True)))
            served = closes
        if served < end:
            found.append((served, end, InForce(policy, False)))
    return found


def _service_hours(policy: Policy, start: int, end: int) -> Iterator[tuple[int, int]]:
    opens, closes = policy.service_from, policy.service_to
    if opens is None or closes is None or opens == closes:
        yield start, end
        return
    length = (_second(closes) - _second(opens)) % DAY_S
    day = (start + WITA_S) // DAY_S - 1  # yesterday's hours may cross midnight
    while (low := day * DAY_S - WITA_S + _second(opens)) < end:
        if low + length > start:
            yield max(low, start), min(low + length, end)
        day += 1


def _second(clock: time) -> int:
    return clock.hour * 3600 + clock.minute * 60 + clock.second
