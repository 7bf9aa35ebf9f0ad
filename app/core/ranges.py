"""Ranges (start, end), the end exclusive: of moments, of slots."""

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar


class Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


T = TypeVar("T", bound=Ordered)


def merge_ranges(ranges: Iterable[tuple[T, T]]) -> list[tuple[T, T]]:
    """Merge those that overlap or adjoin; return them in order."""
    merged: list[tuple[T, T]] = []
    for start, end in sorted(ranges):
        if merged and not merged[-1][1] < start:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
