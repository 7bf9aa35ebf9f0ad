"""Time intervals in seconds since 1970, end exclusive, and operations on them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    start: float
    end: float

    @property
    def length_s(self) -> float:
        return self.end - self.start

    def meets(self, other: "Interval") -> bool:
        return self.start < other.end and other.start < self.end

    def holds(self, moment: float) -> bool:
        return self.start <= moment < self.end

    def wider(self, before_s: float, after_s: float) -> "Interval":
        return Interval(self.start - before_s, self.end + after_s)


def union(stretches: Iterable[Interval]) -> list[Interval]:
    """Merge into ordered intervals that do not touch."""
    merged: list[Interval] = []
    for interval in sorted(stretches):
        if merged and interval.start <= merged[-1].end:
            merged[-1] = Interval(merged[-1].start, max(merged[-1].end, interval.end))
        else:
            merged.append(interval)
    return merged


def minus(whole: Interval, holes: Iterable[Interval]) -> list[Interval]:
    """Return what is left of an interval without the holes."""
    left, start = [], whole.start
    for hole in union(holes):
        if hole.start > start:
            left.append(Interval(start, min(hole.start, whole.end)))
        start = max(start, hole.end)
        if start >= whole.end:
            break
    left.append(Interval(start, whole.end))
    return [interval for interval in left if interval.start < interval.end]


def meeting(stretch: Interval, others: Sequence[Interval]) -> list[Interval]:
    return [other for other in others if other.meets(stretch)]


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def common(first: Interval, second: Interval) -> list[Interval]:
    """Return what two intervals share: one interval, or none."""
    shared = Interval(max(first.start, second.start), min(first.end, second.end))
    return [shared] if shared.length_s > 0 else []
