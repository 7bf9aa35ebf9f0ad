"""Interval maps: disjoint intervals in order, each with a value, in whole seconds since 1970. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar

T = TypeVar("T")
Interval = tuple[int, int, T]  # start, end (exclusive), value
IntervalMap = list[Interval[T]]
TimeRange = tuple[datetime, datetime]

FOREVER = 2**40  # later than any clock


def clip(intervals: Iterable[Interval[T]], low: int, high: int) -> IntervalMap[T]:
    return [(max(a, low), min(b, high), value) for a, b, value in intervals if a < high and b > low]


def align(maps: Sequence[IntervalMap[Any]], low: int, high: int) -> Iterator[tuple[int, int, list[Any]]]:
    """Cut low to high wherever any map changes; yield each interval with every map's value there, or None."""
    edges = {edge for intervals in maps for a, b, _ in intervals for edge in (a, b) if low < edge < high}
    positions = [0] * len(maps)
    filled = [(number, intervals, len(intervals)) for number, intervals in enumerate(maps) if intervals]
    for start, end in pairwise(sorted({low, high} | edges)):
        values: list[Any] = [None] * len(maps)
        for number, intervals, length in filled:
            position = positions[number]
            while position < length and intervals[position][1] <= start:
                position += 1
            positions[number] = position
            if position < length and intervals[position][0] <= start:
                values[number] = intervals[position][2]
        yield start, end, values


def fill_gaps(first: IntervalMap[T], second: IntervalMap[T]) -> IntervalMap[T]:
    """Return the first map, and the second where the first has nothing."""
    if not second:
        return first
    low, high = min(a for a, _, _ in (*first, *second)), max(b for _, b, _ in (*first, *second))
    aligned = align([first, second], low, high)
    merged = ((a, b, over if over is not None else under) for a, b, (over, under) in aligned)
    return [(a, b, value) for a, b, value in merged if value is not None]
