"""Readings as columns are the same readings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from probes.contract import Outcome, Reading
from probes.reading_block import SOURCES, ReadingBlock

READINGS = st.builds(
    Reading,
    key=st.integers(1, 5),
    slot=st.integers(0, 10),
    outcome=st.sampled_from(Outcome),
    sent=st.integers(0, 5),
    rtt_us=st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple),
    valid_s=st.integers(1, 86_400),
    reason=st.sampled_from([None, "late", "blind", ""]),
    source=st.sampled_from(SOURCES),
)


@given(st.lists(READINGS))
def test_a_block_returns_the_readings_it_was_made_of(readings: list[Reading]) -> None:
    assert ReadingBlock.of(readings).readings() == readings


@given(st.lists(st.lists(READINGS, max_size=4), max_size=4))
def test_joined_blocks_hold_all_their_readings_in_order(parts: list[list[Reading]]) -> None:
    joined = ReadingBlock.concat([ReadingBlock.of(part) for part in parts])
    assert joined.readings() == [reading for part in parts for reading in part]


@given(st.lists(READINGS))
def test_of_readings_with_one_identity_the_first_is_kept(readings: list[Reading]) -> None:
    first = {(r.key, r.slot, SOURCES.index(r.source)): r for r in reversed(readings)}
    assert ReadingBlock.of(readings).distinct().readings() == [first[identity] for identity in sorted(first)]


@given(st.lists(READINGS), st.randoms(use_true_random=False))
def test_rows_are_taken_by_mask_and_by_index(readings: list[Reading], random) -> None:  # type: ignore[no-untyped-def]
    mask = [random.random() < 0.5 for _ in readings]
    kept = [reading for reading, wanted in zip(readings, mask, strict=True) if wanted]
    block = ReadingBlock.of(readings)
    assert block.take(np.array(mask, bool)).readings() == kept
    assert block.take(np.flatnonzero(np.array(mask, bool))[::-1]).readings() == kept[::-1]
