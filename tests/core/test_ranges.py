"""Merging ranges: the same points are covered, by as few ranges as can be, in order."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.core.ranges import merge_ranges

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda pair: (pair[0], sum(pair))))


@given(RANGES)
def test_merged_ranges_cover_the_same_with_gaps_between_them(ranges: list[tuple[int, int]]) -> None:
    merged = merge_ranges(ranges)
    assert {point for a, b in merged for point in range(a, b)} == {point for a, b in ranges for point in range(a, b)}
    assert all(end < start for (_, end), (start, _) in pairwise(merged))
