"""Stretches of time in seconds since 1970, end exclusive, and what can be made of them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    start: float
    end: float

    @property
    def length_s(self) -> float:
        return self.end - self.start

    def meets(self, other: "Stretch") -> bool:
        return self.start < other.end and other.start < self.end

    def holds(self, moment: float) -> bool:
        return self.start <= moment < self.end

    def wider(self, before_s: float, after_s: float) -> "Stretch":
        return Stretch(self.start - before_s, self.end + after_s)


def union(stretches: Iterable[Stretch]) -> list[Stretch]:
    """In order, none touching the next."""
    merged: list[Stretch] = []
    for one in sorted(stretches):
        if merged and one.start <= merged[-1].end:
            merged[-1] = Stretch(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(one)
    return merged


def minus(whole: Stretch, holes: Iterable[Stretch]) -> list[Stretch]:
    """What is left of a stretch."""
    left, start = [], whole.start
    for hole in union(holes):
        if hole.start > start:
            left.append(Stretch(start, min(hole.start, whole.end)))
        start = max(start, hole.end)
        if start >= whole.end:
            break
    left.append(Stretch(start, whole.end))
    return [one for one in left if one.start < one.end]


def meeting(stretch: Stretch, others: Sequence[Stretch]) -> list[Stretch]:
    return [other for other in others if other.meets(stretch)]


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
