"""Packs: exact or refused, for every block of a site and source."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.measurements.pack import CorruptPack, Pack, pack, pack_groups, unpack, unpack_many
from probes.contract import AGENT, CENTRAL, SILENCE, Outcome, Reading
from probes.reading_block import COLUMNS, SOURCE_CODES, ReadingBlock

HOUR = 1_795_906_800
SMALL = st.integers(0, 32_767)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(["late", "arrival", ""])


@st.composite
def groups(draw: st.DrawFn, *, most: int = 12) -> list[Reading]:
    """Readings of one site and source, as a regular hour has them or as nothing has."""
    key, source = draw(st.integers(1, 2**31 - 1)), draw(st.sampled_from([CENTRAL, AGENT, SILENCE]))
    slots = draw(
        st.lists(st.integers(HOUR, HOUR + 86_399), min_size=1, max_size=most, unique=True)
        | st.builds(lambda n, step: list(range(HOUR, HOUR + n * step, step)), st.integers(1, most), st.integers(1, 300))
    )
    regular = draw(st.booleans())
    sent, valid_s = st.just(3) if regular else SMALL, st.just(60) if regular else SMALL
    rtts = st.lists(st.integers(20_000, 21_000) if regular else st.integers(0, 2**31 - 1), max_size=3 if regular else 7)
    return [
        Reading(
            key,
            slot,
            draw(st.sampled_from(Outcome)),
            draw(sent),
            tuple(draw(rtts)),
            draw(valid_s),
            draw(st.none() | texts),
            source,
        )
        for slot in sorted(slots)
    ]


@given(groups())
def test_what_was_packed_comes_back_exactly(readings: list[Reading]) -> None:
    source = SOURCE_CODES[readings[0].source]
    block = unpack(readings[0].key, source, pack(ReadingBlock.of(readings)))
    assert block.readings() == readings
    for name in COLUMNS:
        assert getattr(block, name).dtype == getattr(ReadingBlock.of(()), name).dtype


@given(st.lists(groups(most=5), min_size=1, max_size=5))
def test_many_packs_are_written_and_read_at_once(of_groups: list[list[Reading]]) -> None:
    readings = [reading for group in of_groups for reading in group]
    firsts = np.cumsum([0, *(len(group) for group in of_groups[:-1])])
    packs = pack_groups(ReadingBlock.of(readings), firsts)
    assert [unpack(*one).readings() for one in packs] == of_groups
    block, corrupt = unpack_many(packs)
    assert (block.readings(), corrupt) == (readings, [])


@settings(max_examples=60)
@given(groups(), st.data())
def test_a_damaged_pack_is_refused_and_never_read_otherwise(readings: list[Reading], data: st.DataObject) -> None:
    key, source, packed = readings[0].key, SOURCE_CODES[readings[0].source], pack(ReadingBlock.of(readings))
    bit = data.draw(st.integers(0, 8 * len(packed) - 1))
    flipped = bytearray(packed)
    flipped[bit // 8] ^= 1 << bit % 8
    for damaged in (bytes(flipped), packed[: bit // 8], packed + b"\0"):
        with pytest.raises(CorruptPack):
            unpack(key, source, damaged)


def test_every_single_bit_counts() -> None:
    readings = [Reading(7, HOUR + 60 * n, Outcome.OK, 3, (20_000 + 7 * n, 21_000, 20_500), 60) for n in range(60)]
    packed = pack(ReadingBlock.of(readings))
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        assert unpack_many([Pack(7, 0, bytes(flipped))])[1] == [0]


def test_a_pack_is_nobody_elses() -> None:
    packed = pack(ReadingBlock.of([Reading(7, HOUR, Outcome.OK, 3, (20_000,), 60)]))
    for key, source in ((8, 0), (7, 1)):
        with pytest.raises(CorruptPack):
            unpack(key, source, packed)


def test_a_corrupt_pack_costs_no_other() -> None:
    readings = [Reading(key, HOUR, Outcome.TIMEOUT, 3, (), 60, "refused") for key in (1, 2, 3)]
    packs = [Pack(reading.key, 0, pack(ReadingBlock.of([reading]))) for reading in readings]
    packs[1] = packs[1]._replace(data=b"")
    block, corrupt = unpack_many(packs)
    assert (block.key.tolist(), corrupt) == ([1, 3], [1])
    assert [reading.reason for reading in block.readings()] == ["refused", "refused"]
