"""Tracks: stretches of one value each, `(start, end, value)` in whole seconds, disjoint and in order. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

T = TypeVar("T")
Stretch = tuple[int, int, T]
Track = list[Stretch[T]]

ALWAYS = 2**40  # further than any clock


def paint(layers: Iterable[Stretch[T]]) -> Track[T]:
    """A track out of stretches in any order; where they overlap the later painted one shows, empty ones do not."""
    track: Track[T] = []
    for low, high, value in layers:
        if low >= high:
            continue
        first = bisect_right(track, low, key=lambda stretch: stretch[1])
        last = bisect_left(track, high, key=lambda stretch: stretch[0])
        covered = track[first:last]
        left = [(a, low, v) for a, _, v in covered[:1] if a < low]
        right = [(high, b, v) for _, b, v in covered[-1:] if b > high]
        track[first:last] = [*left, (low, high, value), *right]
    return track


def clip(track: Iterable[Stretch[T]], low: int, high: int) -> Track[T]:
    return [(max(a, low), min(b, high), value) for a, b, value in track if a < high and b > low]


def weave(tracks: Sequence[Track[Any]], low: int, high: int) -> Iterator[tuple[int, int, list[Any]]]:
    """The stretches from low to high in which no track changes, with each track's value there or None."""
    edges = {edge for track in tracks for a, b, _ in track for edge in (a, b) if low < edge < high}
    places = [0] * len(tracks)
    for start, end in pairwise(sorted({low, high} | edges)):
        values = []
        for number, track in enumerate(tracks):
            place = places[number]
            while place < len(track) and track[place][1] <= start:
                place += 1
            places[number] = place
            values.append(track[place][2] if place < len(track) and track[place][0] <= start else None)
        yield start, end, values
