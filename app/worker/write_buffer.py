"""Readings and blind ranges on their way to the database: kept in order while it is unavailable.

A timeout is held until a canary's answer shows that we were not blind ourselves.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.judging.blind_ranges import BlindRange
from app.judging.ingest import AddressedReading
from app.worker.canaries import Canaries
from probes.contract import Outcome

LARGEST_BATCH = 5_000  # readings a transaction
LOADED = "speed test"

BufferEntry = BlindRange | AddressedReading


@dataclass(slots=True)
class HeldTimeout:
    item: AddressedReading
    ended: float  # when its sweep was over, by the slot clock


@dataclass
class WriteBuffer:
    """At most `limit` readings; beyond it the oldest are dropped and counted."""

    limit: int
    dropped: int = 0
    _ready: deque[AddressedReading] = field(default_factory=deque)
    _held: deque[HeldTimeout] = field(default_factory=deque)
    _blind: list[BlindRange] = field(default_factory=list)

    def __len__(self) -> int:
        """The number of readings."""
        return len(self._ready) + len(self._held)

    def put(self, items: Iterable[AddressedReading], *, ended: float) -> None:
        """Add what a sweep read that was over at `ended`, by the slot clock."""
        for item in items:
            if item[0].outcome is Outcome.TIMEOUT:
                self._held.append(HeldTimeout(item, ended))
            else:
                self._ready.append(item)
        self._drop_oldest()

    def put_blind(self, *ranges: BlindRange) -> None:
        self._blind.extend(ranges)

    def release(self, canaries: Canaries) -> None:
        """Make ready the timeouts of which it is known by now whether we were blind; if we were, the fault is ours."""
        while self._held and canaries.know_about(self._held[0].ended):
            held = self._held.popleft()
            blind = canaries.were_blind(held.item[0].slot, held.ended)
            self._ready.append(_our_fault(held.item, "blind") if blind else held.item)

    def give_up_held(self) -> None:
        """Make all timeouts ready as our fault: whether we were blind will never be known."""
        self._ready.extend(_our_fault(held.item, "stopped") for held in self._held)
        self._held.clear()

    def take(self, most: int = LARGEST_BATCH) -> list[BufferEntry]:
        """Remove and return all blind ranges, then the oldest readings that are ready."""
        taken: list[BufferEntry] = [*self._blind]
        self._blind.clear()
        taken += [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        return taken

    def give_back(self, entries: Sequence[BufferEntry]) -> None:
        """Put back, at its front, what was taken and not written."""
        ranges, readings = split_entries(entries)
        self._blind[:0] = ranges
        self._ready.extendleft(reversed(readings))
        self._drop_oldest()

    def has_news(self, expected: Mapping[int, Outcome | None]) -> bool:
        """Whether anything in it may change a site's state: `expected` is what a probe finds if nothing changed."""
        return (
            bool(self._blind)
            or len(self) >= LARGEST_BATCH
            or any(
                reading.outcome is not Outcome.FAULT and reading.outcome is not expected.get(reading.key)
                for reading, _ in self._ready
            )
        )

    @property
    def is_empty(self) -> bool:
        return not self and not self._blind

    def _drop_oldest(self) -> None:
        while len(self) > self.limit:
            if self._ready:
                self._ready.popleft()
            else:
                self._held.popleft()
            self.dropped += 1


def split_entries(entries: Iterable[BufferEntry]) -> tuple[list[BlindRange], list[AddressedReading]]:
    ranges: list[BlindRange] = []
    readings: list[AddressedReading] = []
    for entry in entries:
        if isinstance(entry, BlindRange):
            ranges.append(entry)
        else:
            readings.append(entry)
    return ranges, readings


def excuse_loaded(items: Iterable[AddressedReading], loaded: Collection[int]) -> list[AddressedReading]:
    """Where our own speed test filled a site's link an answer shows that it is up, not how well; a timeout nothing."""
    return [_excuse(item) if item[0].key in loaded else item for item in items]


def _excuse(item: AddressedReading) -> AddressedReading:
    if item[0].outcome is Outcome.OK:
        return replace(item[0], sent=0, rtt_us=(), reason=LOADED), item[1]
    return _our_fault(item, LOADED)


def _our_fault(item: AddressedReading, reason: str) -> AddressedReading:
    return replace(item[0], outcome=Outcome.FAULT, reason=reason), item[1]
