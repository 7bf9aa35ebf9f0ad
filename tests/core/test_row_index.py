import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.core.row_index import ABSENT, RowIndex

KEYS = st.integers(1, 30)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove", "find"]), KEYS), max_size=60)


@given(STEPS)
def test_keys_are_found_where_they_were_put_and_no_two_share_a_row(steps: list[tuple[str, int]]) -> None:
    index, known = RowIndex(), dict[int, int]()
    for step, key in steps:
        if step == "add":
            known[key] = index.add(key)
        elif step == "remove":
            assert index.remove(key) == known.pop(key, ABSENT)
        else:
            row = known.get(key, ABSENT)
            assert index.rows(np.array([key, 99, key])).tolist() == [row, ABSENT, row]
        assert len(set(known.values())) == len(known) == len(index)
        assert all(index.row(key) == row < index.size for key, row in known.items())
    assert index.rows(np.arange(31)).tolist() == [known.get(key, ABSENT) for key in range(31)]


def test_freed_rows_are_used_again() -> None:
    index = RowIndex()
    for key in range(1000):
        index.add(key)
        index.remove(key)
    assert index.size == 1
