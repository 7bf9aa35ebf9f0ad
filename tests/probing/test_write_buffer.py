"""The buffer holds blocks, and behaves as a queue of readings."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.clock import from_slot
from app.judging.addressed_block import AddressedBlock, AddressedReading
from app.judging.blind_ranges import BlindRange
from app.probing.write_buffer import WriteBuffer
from probes.contract import Outcome, Reading
from probes.reading_block import OK, TIMEOUT

SINCE = datetime(2026, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "take", "fail"]), st.integers(0, 9), st.integers(0, 9)), max_size=30)


def answer(slot: int, *, key: int = 1, outcome: Outcome = Outcome.OK) -> AddressedReading:
    return Reading(key, slot, outcome, 3, (900,) * (slot % 4), 60, f"reason {slot % 3}" if slot % 2 else None), SINCE


@given(STEPS)
def test_readings_leave_in_the_order_in_which_they_came_and_the_oldest_are_dropped(
    steps: list[tuple[str, int, int]],
) -> None:
    buffer, queue, slot, dropped, limit = WriteBuffer(20), list[AddressedReading](), 0, 0, 20
    for step, size, split in steps:
        if step == "put":
            items = [answer(slot + number) for number in range(size)]
            buffer.put(AddressedBlock.of(items), ended=0.0)
            queue, slot = queue + items, slot + size
        else:
            batch = buffer.take(size)
            assert batch.block.items() == queue[:size]
            if step == "take":
                queue = queue[size:]
            else:
                buffer.give_back([batch[:split], batch[split:]])
        dropped, queue = dropped + max(len(queue) - limit, 0), queue[-limit:]
        assert (len(buffer), buffer.dropped) == (len(queue), dropped)
    assert buffer.take().block.items() == queue


def test_a_batch_is_divided_between_any_two_of_its_blind_ranges_and_readings() -> None:
    buffer, ranges = WriteBuffer(10), [BlindRange(from_slot(n), from_slot(n + 1), "uplink") for n in range(2)]
    buffer.put(AddressedBlock.of([answer(0), answer(1)]), ended=0.0)
    buffer.put_blind(*ranges)
    batch = buffer.take()
    parts = [(list(batch[n : n + 1].blind), batch[n : n + 1].block.items()) for n in range(len(batch))]
    assert parts == [([ranges[0]], []), ([ranges[1]], []), ([], [answer(0)]), ([], [answer(1)])]
    assert len(batch[:0]) == 0


def test_news_is_what_differs_from_what_a_probe_finds_if_nothing_changes() -> None:
    def has_news(outcome: Outcome, expected: int) -> bool:
        buffer = WriteBuffer(10)
        buffer.put(AddressedBlock.of([answer(0), answer(0, key=2, outcome=outcome)]), ended=0.0)
        buffer.give_up_held()
        return buffer.has_news(lambda keys: np.where(keys == 2, expected, OK).astype(np.int8))

    assert [has_news(Outcome.OK, expected) for expected in (OK, TIMEOUT, -1)] == [False, True, True]
    assert not has_news(Outcome.FAULT, TIMEOUT)


def test_a_reading_whose_address_nobody_dated_keeps_that() -> None:
    items = [(Reading(1, 5, Outcome.TIMEOUT, 3, (), 60), None), answer(6)]
    assert AddressedBlock.of(items).items() == items
    assert AddressedBlock.concat([]).items() == []


def test_what_was_looked_at_for_news_is_not_looked_at_again() -> None:
    buffer = WriteBuffer(100)
    asked: list[int] = []

    def expected(keys: NDArray[np.int32]) -> NDArray[np.int8]:
        asked.extend(keys.tolist())
        return np.full(len(keys), OK, np.int8)

    for key in (1, 2):
        buffer.put(AddressedBlock.of([answer(0, key=key)]), ended=0.0)
        assert not buffer.has_news(expected)
        assert not buffer.has_news(expected)
    assert asked == [1, 2]
    assert len(buffer.take().block) == 2
