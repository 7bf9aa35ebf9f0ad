"""Interval maps built from layers, as the counting takes them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from app.availability.intervals import Interval, IntervalMap, T


def overlay(layers: Iterable[Interval[T]]) -> IntervalMap[T]:
    """Build a map from intervals in any order: where they overlap the later layer wins; empty ones are dropped."""
    result: IntervalMap[T] = []
    for low, high, value in layers:
        if low >= high:
            continue
        first = bisect_right(result, low, key=lambda interval: interval[1])
        last = bisect_left(result, high, key=lambda interval: interval[0])
        covered = result[first:last]
        left = [(a, low, v) for a, _, v in covered[:1] if a < low]
        right = [(high, b, v) for _, b, v in covered[-1:] if b > high]
        result[first:last] = [*left, (low, high, value), *right]
    return result
