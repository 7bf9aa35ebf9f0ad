"""Readings and blind ranges on their way to the database: kept in order while it is unavailable.

A timeout is held until a canary's answer shows that we were not blind ourselves.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.judging.addressed_block import AddressedBlock
from app.judging.blind_ranges import BlindRange
from app.probing.canaries import Canaries
from probes.reading_block import FAULT, OK, TIMEOUT

LARGEST_BATCH = 5_000  # readings a transaction
LOADED = "speed test"

ExpectedOutcomes = Callable[[NDArray[np.int32]], NDArray[np.int8]]  # by site: what a probe finds if nothing changed


@dataclass(frozen=True, slots=True)
class BufferBatch:
    """What a transaction writes: blind ranges, and readings after them. Its slices are batches."""

    blind: Sequence[BlindRange]
    block: AddressedBlock

    def __len__(self) -> int:
        return len(self.blind) + len(self.block)

    def __getitem__(self, entries: slice) -> "BufferBatch":
        start, stop, _ = entries.indices(len(self))
        ranges = len(self.blind)
        return BufferBatch(
            self.blind[start:stop], self.block.take(slice(max(0, start - ranges), max(0, stop - ranges)))
        )


@dataclass
class BlockQueue:
    """Blocks in order, counted, added to and taken from by readings."""

    readings: int = 0
    _blocks: deque[AddressedBlock] = field(default_factory=deque)

    def newest(self, readings: int) -> Iterator[AddressedBlock]:
        """Return the blocks that hold so many of the last readings."""
        for block in reversed(self._blocks):
            if readings <= 0:
                return
            readings -= len(block)
            yield block

    def append(self, block: AddressedBlock) -> None:
        if len(block):
            self._blocks.append(block)
            self.readings += len(block)

    def put_back(self, block: AddressedBlock) -> None:
        if len(block):
            self._blocks.appendleft(block)
            self.readings += len(block)

    def pop(self, most: int) -> AddressedBlock:
        """Remove and return the oldest readings."""
        taken: list[AddressedBlock] = []
        while self._blocks and most > 0:
            block = self._blocks.popleft()
            if len(block) > most:
                self._blocks.appendleft(block.take(slice(most, None)))
                block = block.take(slice(most))
            taken.append(block)
            most -= len(block)
        popped = AddressedBlock.concat(taken)
        self.readings -= len(popped)
        return popped


@dataclass(slots=True)
class HeldTimeouts:
    block: AddressedBlock
    ended: float  # when their sweep was over, by the slot clock


@dataclass
class WriteBuffer:
    """At most `limit` readings; beyond it the oldest are dropped and counted."""

    limit: int
    dropped: int = 0
    _ready: BlockQueue = field(default_factory=BlockQueue)
    _unseen: int = 0  # how many of the newest that are ready were not looked at for news
    _held: deque[HeldTimeouts] = field(default_factory=deque)
    _blind: list[BlindRange] = field(default_factory=list)

    def __len__(self) -> int:
        """The number of readings."""
        return self._ready.readings + sum(len(held.block) for held in self._held)

    def put(self, block: AddressedBlock, *, ended: float) -> None:
        """Add what a sweep read that was over at `ended`, by the slot clock."""
        timeouts = block.readings.outcome == TIMEOUT
        if timeouts.any():
            self._held.append(HeldTimeouts(block.take(timeouts), ended))
            block = block.take(~timeouts)
        self._make_ready(block)
        self._drop_oldest()

    def put_blind(self, *ranges: BlindRange) -> None:
        self._blind.extend(ranges)

    def release(self, canaries: Canaries) -> None:
        """Make ready the timeouts of which it is known by now whether we were blind; if we were, the fault is ours."""
        while self._held and canaries.know_about(self._held[0].ended):
            held = self._held.popleft()
            blind = canaries.blind_mask(held.block.readings.slot, held.ended)
            self._make_ready(_our_fault(held.block, blind, "blind") if blind.any() else held.block)

    def give_up_held(self) -> None:
        """Make all timeouts ready as our fault: whether we were blind will never be known."""
        for held in self._held:
            self._make_ready(_our_fault(held.block, np.ones(len(held.block), bool), "stopped"))
        self._held.clear()

    def take(self, most: int = LARGEST_BATCH) -> BufferBatch:
        """Remove and return all blind ranges, then the oldest readings that are ready."""
        blind, self._blind = self._blind, []
        return BufferBatch(blind, self._ready.pop(most))

    def give_back(self, batches: Sequence[BufferBatch]) -> None:
        """Put back, at its front, what was taken and not written."""
        self._blind[:0] = [blind for batch in batches for blind in batch.blind]
        for batch in reversed(batches):
            self._ready.put_back(batch.block)
        self._drop_oldest()

    def has_news(self, expected: ExpectedOutcomes) -> bool:
        """Whether anything in it that is new since the last call may change a site's state."""
        unseen, self._unseen = self._unseen, 0
        newest = self._ready.newest(unseen)
        return bool(self._blind) or len(self) >= LARGEST_BATCH or any(_differs(block, expected) for block in newest)

    @property
    def is_empty(self) -> bool:
        return not self and not self._blind

    def _make_ready(self, block: AddressedBlock) -> None:
        self._ready.append(block)
        self._unseen += len(block)

    def _drop_oldest(self) -> None:
        """Drop those that are ready first."""
        if (excess := len(self) - self.limit) <= 0:
            return
        self.dropped += excess
        excess -= len(self._ready.pop(excess))
        while excess:
            held = self._held[0]
            kept = held.block.take(slice(excess, None))
            excess -= len(held.block) - len(kept)
            held.block = kept
            if not len(kept):
                self._held.popleft()


def excuse_loaded(block: AddressedBlock, loaded: Collection[int]) -> AddressedBlock:
    """Where our own speed test filled a site's link an answer shows that it is up, not how well; a timeout nothing."""
    rows = np.isin(block.readings.key, list(loaded)) if loaded else np.zeros(len(block), bool)
    if not rows.any():
        return block
    answered = rows & (block.readings.outcome == OK)
    readings = block.readings.with_reason(answered, LOADED)
    unmeasured = replace(
        readings,
        sent=_zeroed(readings.sent, answered),
        received=_zeroed(readings.received, answered),
        rtt_us=_zeroed(readings.rtt_us, answered[:, None]),
    )
    return replace(block, readings=unmeasured.as_faults(rows & ~answered, LOADED))


def _differs(block: AddressedBlock, expected: ExpectedOutcomes) -> bool:
    outcome = block.readings.outcome
    return bool(((outcome != FAULT) & (outcome != expected(block.readings.key))).any())


def _zeroed(column: NDArray[Any], rows: NDArray[np.bool_]) -> NDArray[Any]:
    return np.where(rows, 0, column).astype(column.dtype)


def _our_fault(block: AddressedBlock, rows: NDArray[np.bool_], reason: str) -> AddressedBlock:
    return replace(block, readings=block.readings.as_faults(rows, reason))
