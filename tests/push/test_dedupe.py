from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.push import seen
from app.push.seen import Seen

SEQS = st.lists(st.one_of(st.integers(0, 30), st.integers(0, 2**53)), max_size=60)


@given(SEQS, SEQS)
def test_a_number_is_new_once(first: list[int], then: list[int]) -> None:
    known: set[int] = set()
    found = Seen()
    for seq in first:
        assert found.add(seq) is (seq not in known)
        known.add(seq)
    again = Seen(str(found))
    for seq in then:
        assert (seq in again) is (seq in known)
        assert again.add(seq) is (seq not in known)
        known.add(seq)
    spans = str(again)[2:-1].split(",[") if known else []
    edges = [tuple(int(edge.strip("[)")) for edge in span.split(",")) for span in spans]
    assert all(before[1] < after[0] for before, after in pairwise(edges)), "as short as it can be"
    assert sum(after - before for before, after in edges) == len(known)


async def test_postgresql_reads_and_writes_it_alike(session: AsyncSession) -> None:
    for seqs in ([], [7], [1, 2, 3], [1, 3, 5, 2**53], [9, 8, 7, 1]):
        found = Seen()
        for seq in seqs:
            found.add(seq)
        query = text("SELECT cast(cast(:seen AS text) AS int8multirange)::text")
        assert await session.scalar(query, {"seen": str(found)}) == str(found)


def test_who_does_not_count_by_one_is_remembered_no_further_than_there_is_room() -> None:
    found = Seen()
    for seq in range(0, 60 * (seen.MOST_RANGES + 10), 60):
        assert found.add(seq)
    kept = Seen(str(found))
    assert str(kept).count("[") == seen.MOST_RANGES
    assert not kept.add(0)
    assert not kept.add(61), "left out long ago"
    assert kept.add(60 * (seen.MOST_RANGES + 10) - 61)
