"""A block of readings comes through its wire format unchanged; what is no block is refused by the name of a column."""

import tracemalloc
import zlib
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import reading_wire
from probes.contract import VANTAGES, Outcome, Reading
from probes.reading_block import ReadingBlock

RTTS = st.lists(st.integers(0, 600_000_000), max_size=5).map(tuple)
REASONS = st.sampled_from([None, "blind", "no answer", "tidak ada rute"])
MOMENTS = st.one_of(st.just(reading_wire.BY_SLOT), st.integers(0, 2**53))


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    outcome, rtts = draw(st.sampled_from(Outcome)), draw(RTTS)
    rtts = () if outcome is Outcome.TIMEOUT else rtts or ((1,) if outcome is Outcome.OK else ())
    sent = max(len(rtts), 1) + draw(st.integers(0, 5))
    slot, valid_s = draw(st.integers(0, 2**33)), draw(st.integers(1, 32_767))
    key, source = draw(st.integers(1, 2**31 - 1)), VANTAGES[3]
    return Reading(key, slot, outcome, sent, rtts, valid_s, draw(REASONS), source)


@given(st.lists(st.tuples(readings(), MOMENTS), max_size=20))
def test_a_block_comes_through_unchanged(rows: list[tuple[Reading, int]]) -> None:
    since = np.array([moment for _, moment in rows], np.int64)
    packed = reading_wire.encode(ReadingBlock.of(reading for reading, _ in rows), since)
    block, addressed_at = reading_wire.decode(packed, source=VANTAGES[3])
    assert block.readings() == [reading for reading, _ in rows]
    assert addressed_at.tolist() == since.tolist()


def test_a_slice_of_a_block_carries_only_its_own_reasons() -> None:
    block = ReadingBlock.of(Reading(key, 5, Outcome.FAULT, 0, (), 60, f"reason {key}") for key in range(1, 50))
    document = orjson.loads(reading_wire.encode_json(block.take(slice(3, 5)), np.zeros(2, np.int64)))
    assert document["reasons"] == ["reason 4", "reason 5"]


def test_a_reason_of_any_length_and_kind_is_cut_to_what_is_read() -> None:
    block = ReadingBlock.of([Reading(1, 5, Outcome.FAULT, 0, (), 60, "line\nnul\0 " + "x" * 500)])
    read, _ = reading_wire.decode(reading_wire.encode(block, np.zeros(1, np.int64)))
    assert read.readings()[0].reason == ("line nul  " + "x" * 500)[: reading_wire.LONGEST_REASON]


def a_document(**changed: Any) -> dict[str, Any]:
    rows = [Reading(1, 100, Outcome.OK, 3, (10, 20, 30), 60), Reading(2, 100, Outcome.TIMEOUT, 3, (), 60)]
    document = orjson.loads(reading_wire.encode_json(ReadingBlock.of(rows), np.zeros(2, np.int64)))
    return {name: value for name, value in {**document, **changed}.items() if value is not ...}


BAD = [
    ("v", 2),
    ("key", [0, 1]),
    ("key", [1, 2**31]),
    ("key", [1, 2**63]),
    ("key", [1, 2**80]),
    ("key", [1.5, 2]),
    ("slot", [100]),
    ("key", [[1], [2]]),
    ("key", [[1], 2]),
    ("key", None),
    ("key", ...),
    ("slot", [100, -1]),
    ("slot", [100, None]),
    ("slot", ["100", 1]),
    ("outcome", [0, 3]),
    ("outcome", [True, False]),
    ("sent", [2, 3]),
    ("sent", [3, 0]),
    ("sent", [3, 101]),
    ("received", [3, 1]),
    ("received", [0, 0]),
    ("valid_s", [60, 0]),
    ("valid_s", [60, 32_768]),
    ("addressed_at", [0, -1]),
    ("rtt_us", [1, 2]),
    ("rtt_us", [1, 2, -3]),
    ("reason", [0, 9]),
    ("reasons", []),
    ("reasons", ["x" * 201]),
    ("reasons", ["a\0b"]),
    ("reasons", [7]),
]


@pytest.mark.parametrize(("column", "value"), BAD)
def test_what_no_prober_writes_is_refused_by_its_column(column: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^({column}|received|sent)"):
        reading_wire.read_columns(a_document(**{column: value}))


@pytest.mark.parametrize("document", [None, [], "block", 7])
def test_only_an_object_is_a_block(document: object) -> None:
    with pytest.raises(ValueError, match="object"):
        reading_wire.read_columns(document)


def test_a_block_of_too_many_readings_is_refused() -> None:
    rows = reading_wire.MOST_READINGS + 1
    block = ReadingBlock.of([Reading(1, 100, Outcome.TIMEOUT, 3, (), 60)]).take(np.zeros(rows, int))
    with pytest.raises(ValueError, match="at most"):
        reading_wire.encode(block, np.zeros(rows, np.int64))
    with pytest.raises(ValueError, match=r"^key"):
        reading_wire.read_columns({**a_document(), "key": [1] * rows})


@pytest.mark.parametrize(
    "packed",
    [b"", b"no deflate", zlib.compress(b"{"), zlib.compress(b"{}")[:-1], zlib.compress(b"{}") + b"x"],
    ids=["empty", "not deflated", "no JSON", "cut off", "with a tail"],
)
def test_bytes_that_are_no_block_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="block"):
        reading_wire.decode(packed)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(ValueError, match="longer than"):
        reading_wire.decode(zlib.compress(b"[" * (reading_wire.MOST_BYTES + 1)))


def test_a_long_text_among_numbers_takes_no_more_room_than_it_is_long() -> None:
    """A row of it for each number would be 80 MB here, and more than any machine has for the largest body taken."""
    document = a_document(slot=["x" * 1_000, *[1] * 20_000])
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"^slot: only whole numbers"):
        reading_wire.read_columns(document)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
