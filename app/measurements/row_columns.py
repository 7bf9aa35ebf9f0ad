"""Reads many rows of `measurement` as one row of columns, in PostgreSQL's binary form: a fiftieth of the time.

All aggregates of a select see the rows in one order, so the n-th value of each column is of the same reading.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.reading_block import OUTCOMES, SOURCES, ReadingBlock, rtt_matrix

EPOCH_S = 946_684_800  # PostgreSQL counts from 2000
WITHOUT_ANSWER, BEFORE_ANSWERS = 3, 5  # words of 4 bytes: of an empty array, and before the first element of another


def _code(column: str, values: tuple[str, ...]) -> str:
    cases = " ".join(f"WHEN '{value}' THEN {code}" for code, value in enumerate(values))
    return f"CASE m.{column} {cases} END"


def _bytes(value: str) -> str:
    return f"string_agg({value}, '')"


# To be selected from `measurement m`: one row, of nulls where there is no reading.
SELECTED = ", ".join(
    (
        _bytes("int4send(m.site_id)"),
        _bytes("timestamptz_send(m.slot)"),
        _bytes(f"int2send(({_code('outcome', OUTCOMES)})::int2)"),
        _bytes("int2send(m.sent)"),
        _bytes("int2send(m.valid_s)"),
        _bytes(f"int2send(({_code('source', SOURCES)})::int2)"),
        _bytes("int2send(cardinality(m.rtt_us)::int2)"),
        _bytes("int2send((m.reason IS NOT NULL)::int::int2)"),
        _bytes("array_send(m.rtt_us)"),
        "array_agg(m.reason) FILTER (WHERE m.reason IS NOT NULL)",
    )
)


def block_of_columns(row: Any) -> ReadingBlock:
    """Return the readings of a row with SELECTED, in no certain order."""
    keys, slots, *small, rtts, given_reasons = row
    if keys is None:
        return ReadingBlock.of(())
    outcomes, sent, valid_s, sources, received, with_reason = (_int16(column) for column in small)
    if len({len(keys) // 4, *map(len, (outcomes, sources))}) > 1:
        raise ValueError("a stored reading of an unknown outcome or source")
    reasons = tuple(dict.fromkeys([None, *(given_reasons or ())]))
    codes = {reason: code for code, reason in enumerate(reasons)}
    reason = np.zeros(len(received), np.int32)
    reason[with_reason == 1] = [codes[given] for given in given_reasons or ()]
    return ReadingBlock(
        key=np.frombuffer(keys, ">i4").astype(np.int32),
        slot=np.frombuffer(slots, ">i8").astype(np.int64) // 1_000_000 + EPOCH_S,
        outcome=outcomes.astype(np.int8),
        sent=sent,
        received=received,
        rtt_us=rtt_matrix(received, _elements(np.frombuffer(rtts, ">i4"), received)),
        valid_s=valid_s.astype(np.int32),
        source=sources.astype(np.int8),
        reason=reason,
        reasons=reasons,
    )


def _int16(column: bytes) -> NDArray[np.int16]:
    return np.frombuffer(column, ">i2").astype(np.int16)


def _elements(words: NDArray[Any], received: NDArray[np.int16]) -> NDArray[np.int32]:
    """Return the elements of arrays as `array_send` writes them: a header, then each element behind its length."""
    lengths = np.where(received > 0, BEFORE_ANSWERS + 2 * received.astype(np.int64), WITHOUT_ANSWER)
    if lengths.sum() != len(words):
        raise ValueError("round-trip times that are null or nested")
    starts = np.cumsum(lengths) - lengths + BEFORE_ANSWERS + 1
    width = np.arange(int(received.max()))
    places = (starts[:, None] + 2 * width)[width < received[:, None]]
    return words[places].astype(np.int32)
