"""Sequence numbers that were received are remembered exactly, as PostgreSQL stores them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.push.dedupe import MAX_RANGES, SequenceRanges

SEQS = st.lists(st.one_of(st.integers(0, 30), st.integers(0, 2**53)), max_size=60)


@given(SEQS, SEQS)
def test_a_sequence_number_is_new_once(first: list[int], second: list[int]) -> None:
    known: set[int] = set()
    ranges = SequenceRanges()
    for seq in first:
        assert ranges.add(seq) is (seq not in known)
        known.add(seq)
    stored = SequenceRanges(str(ranges))
    for seq in second:
        assert (seq in stored) is (seq in known)
        assert stored.add(seq) is (seq not in known)
        known.add(seq)
    texts = str(stored)[2:-1].split(",[") if known else []
    edges = [tuple(int(edge.strip("[)")) for edge in part.split(",")) for part in texts]
    assert all(before[1] < after[0] for before, after in pairwise(edges)), "ranges are merged"
    assert sum(after - before for before, after in edges) == len(known)


async def test_postgresql_reads_and_writes_the_same_text(session: AsyncSession) -> None:
    for seqs in ([], [7], [1, 2, 3], [1, 3, 5, 2**53], [9, 8, 7, 1]):
        ranges = SequenceRanges()
        for seq in seqs:
            ranges.add(seq)
        query = text("SELECT cast(cast(:seen AS text) AS int8multirange)::text")
        assert await session.scalar(query, {"seen": str(ranges)}) == str(ranges)


def test_the_oldest_gaps_are_closed_once_there_are_too_many_ranges() -> None:
    ranges = SequenceRanges()
    for seq in range(0, 60 * (MAX_RANGES + 10), 60):
        assert ranges.add(seq)
    stored = SequenceRanges(str(ranges))
    assert str(stored).count("[") == MAX_RANGES
    assert not stored.add(0)
    assert not stored.add(61), "its gap was closed"
    assert stored.add(60 * (MAX_RANGES + 10) - 61)
