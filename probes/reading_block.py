"""Readings as columns: what a round of probes finds travels, is judged and is stored as one block, not one by one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from probes.contract import AGENT, CENTRAL, LOOKS, SILENCE, VANTAGES, Outcome, Reading

OUTCOMES = (Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT)
SOURCES = (CENTRAL, AGENT, SILENCE, *VANTAGES[1:])  # their order is stored: only appended to
OK, TIMEOUT, FAULT = range(3)  # indices into OUTCOMES
OUTCOME_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}
SOURCE_CODES = {source: code for code, source in enumerate(SOURCES)}
IS_LOOK = np.array([source in LOOKS for source in SOURCES])  # by code

Index = NDArray[Any] | slice


@dataclass(frozen=True, slots=True, eq=False)
class ReadingBlock:
    """n readings as columns; row i of each is one reading (see `probes.contract.Reading`).

    `rtt_us` is (n, width): the answered packets of a row in the order of sending, from the left, 0 beyond `received`.
    """

    key: NDArray[np.int32]
    slot: NDArray[np.int64]
    outcome: NDArray[np.int8]  # index into OUTCOMES
    sent: NDArray[np.int16]
    received: NDArray[np.int16]
    rtt_us: NDArray[np.int32]
    valid_s: NDArray[np.int32]
    source: NDArray[np.int8]  # index into SOURCES
    reason: NDArray[np.int32]  # index into `reasons`
    reasons: tuple[str | None, ...] = (None,)

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def of(cls, readings: Iterable[Reading]) -> Self:
        readings = list(readings)
        reasons = tuple(dict.fromkeys([None, *(reading.reason for reading in readings)]))
        codes = {reason: code for code, reason in enumerate(reasons)}
        received = np.array([len(reading.rtt_us) for reading in readings], np.int16)
        return cls(
            key=np.array([reading.key for reading in readings], np.int32),
            slot=np.array([reading.slot for reading in readings], np.int64),
            outcome=np.array([OUTCOME_CODES[reading.outcome] for reading in readings], np.int8),
            sent=np.array([reading.sent for reading in readings], np.int16),
            received=received,
            rtt_us=rtt_matrix(received, list(chain.from_iterable(reading.rtt_us for reading in readings))),
            valid_s=np.array([reading.valid_s for reading in readings], np.int32),
            source=np.array([SOURCE_CODES[reading.source] for reading in readings], np.int8),
            reason=np.array([codes[reading.reason] for reading in readings], np.int32),
            reasons=reasons,
        )

    def readings(self) -> list[Reading]:
        columns = (self.key, self.slot, self.outcome, self.sent, self.valid_s, self.reason, self.source, self.received)
        rows = zip(*(column.tolist() for column in columns), self.rtt_us.tolist(), strict=True)
        return [
            Reading(
                key,
                slot,
                OUTCOMES[outcome],
                sent,
                tuple(rtts[:received]),
                valid_s,
                self.reasons[reason],
                SOURCES[source],
            )
            for key, slot, outcome, sent, valid_s, reason, source, received, rtts in rows
        ]

    def take(self, rows: Index) -> Self:
        """Return these rows, in the order of `rows`: indices, a mask or a slice."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def as_faults(self, rows: NDArray[np.bool_], reason: str) -> Self:
        """Return the block with the readings of this mask as faults of ours, for that reason."""
        return replace(self.with_reason(rows, reason), outcome=np.where(rows, FAULT, self.outcome).astype(np.int8))

    def with_reason(self, rows: NDArray[np.bool_], reason: str) -> Self:
        reasons = self.reasons if reason in self.reasons else (*self.reasons, reason)
        codes = np.where(rows, reasons.index(reason), self.reason).astype(np.int32)
        return replace(self, reason=codes, reasons=reasons)

    def sorted(self) -> Self:
        """Return the readings by key, slot and source."""
        return self.take(np.lexsort((self.source, self.slot, self.key)))

    def distinct(self) -> Self:
        """Return the readings by key, slot and source, of several with the same three the first one."""
        ordered = self.sorted()  # stable
        same = np.zeros(len(ordered), bool)
        if len(ordered):
            identity = (ordered.key, ordered.slot, ordered.source)
            same[1:] = np.logical_and.reduce([column[1:] == column[:-1] for column in identity])
        return ordered.take(~same)

    @classmethod
    def concat(cls, blocks: Sequence[Self]) -> Self:
        if len(blocks) == 1:
            return blocks[0]
        reasons = tuple(dict.fromkeys(chain((None,), *(block.reasons for block in blocks))))
        codes = {reason: code for code, reason in enumerate(reasons)}
        width = max((block.rtt_us.shape[1] for block in blocks), default=0)
        columns: dict[str, list[NDArray[Any]]] = {name: [getattr(block, name) for block in blocks] for name in COLUMNS}
        columns["rtt_us"] = [_widened(block.rtt_us, width) for block in blocks]
        columns["reason"] = [
            np.array([codes[reason] for reason in block.reasons], np.int32)[block.reason] for block in blocks
        ]
        if not blocks:
            return cls.of(())
        return cls(**{name: np.concatenate(of_blocks) for name, of_blocks in columns.items()}, reasons=reasons)


COLUMNS = tuple(field.name for field in fields(ReadingBlock) if field.name != "reasons")


def rtt_matrix(received: NDArray[np.int16], flat: Sequence[int] | NDArray[np.int32]) -> NDArray[np.int32]:
    """Return `rtt_us` of a block from how many each row has, and all of them one after the other."""
    width = int(received.max(initial=0))
    matrix = np.zeros((len(received), width), np.int32)
    matrix[np.arange(width) < received[:, None]] = flat
    return matrix


def _widened(rtt_us: NDArray[np.int32], width: int) -> NDArray[np.int32]:
    return np.pad(rtt_us, ((0, 0), (0, width - rtt_us.shape[1])))
