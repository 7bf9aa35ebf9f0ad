"""Readings on their way to the database: kept in order while it is away, held while we may have been blind."""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from app.judging.ingest import AddressedReading
from app.worker.canaries import Canaries
from probes.contract import Outcome

LARGEST = 5_000  # readings a transaction
LOADED = "speed test"


@dataclass(slots=True)
class Held:
    """A timeout that waits for the word of a canary; `ended` is when its look was over, by the slot clock."""

    item: AddressedReading
    ended: float


@dataclass
class Buffer:
    """At most `limit` readings; beyond it the oldest are dropped, and counted."""

    limit: int
    dropped: int = 0
    ready: deque[AddressedReading] = field(default_factory=deque)  # to be written
    _held: deque[Held] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.ready) + len(self._held)

    def put(self, items: Iterable[AddressedReading], *, ended: float) -> None:
        for item in items:
            if item[0].outcome is Outcome.TIMEOUT:
                self._held.append(Held(item, ended))
            else:
                self.ready.append(item)
        self._shed()

    def release(self, canaries: Canaries) -> None:
        """Lets go of the timeouts of which we know by now whether we could see; where we could not it was our fault."""
        while self._held and canaries.clears(self._held[0].ended):
            held = self._held.popleft()
            blind = canaries.were_blind(held.item[0].slot, held.ended)
            self.ready.append(_our_fault(held.item, "blind") if blind else held.item)

    def give_up_held(self) -> None:
        """We shall never know whether we could see then."""
        self.ready.extend(_our_fault(held.item, "stopped") for held in self._held)
        self._held.clear()

    def take(self, most: int) -> list[AddressedReading]:
        return [self.ready.popleft() for _ in range(min(most, len(self.ready)))]

    def give_back(self, items: Sequence[AddressedReading]) -> None:
        self.ready.extendleft(reversed(items))
        self._shed()

    def _shed(self) -> None:
        while len(self) > self.limit:
            if self.ready:
                self.ready.popleft()
            else:
                self._held.popleft()
            self.dropped += 1


def excused(items: Iterable[AddressedReading], loaded: Collection[int]) -> list[AddressedReading]:
    """Our own speed test filled these sites' links: answers say that they are up and not how well, silence nothing."""
    return [_excused(item) if item[0].key in loaded else item for item in items]


def _excused(item: AddressedReading) -> AddressedReading:
    if item[0].outcome is Outcome.OK:
        return replace(item[0], sent=0, rtt_us=(), reason=LOADED), item[1]
    return _our_fault(item, LOADED)


def _our_fault(item: AddressedReading, reason: str) -> AddressedReading:
    return replace(item[0], outcome=Outcome.FAULT, reason=reason), item[1]
