"""Readings on their way to the database: kept in order while it is away, held while we may have been blind."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.clock import from_slot
from app.ledger.blindness import look_ends
from app.worker.canaries import Canaries
from probes.contract import Outcome, Reading

LARGEST = 5_000  # readings a transaction

Item = tuple[Reading, datetime]  # with the moment since when its address is the site's


@dataclass
class Buffer:
    """At most `limit` readings; beyond it the oldest are dropped, and counted."""

    limit: int
    dropped: int = 0
    _ready: deque[Item] = field(default_factory=deque)
    _held: list[Item] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._ready) + len(self._held)

    def put(self, items: Sequence[Item]) -> None:
        for item in items:
            (self._held if item[0].outcome is Outcome.TIMEOUT else self._ready).append(item)
        self._shed()

    def release(self, canaries: Canaries) -> None:
        """Lets go of the timeouts of which we know whether we could see; a blind one is judged a fault by its range."""
        still: list[Item] = []
        for item in self._held:
            ends = look_ends(from_slot(item[0].slot), item[0].sent).timestamp()
            (self._ready.append if canaries.clears(ends) else still.append)(item)
        self._held = still
        self._shed()

    def give_up_held(self) -> None:
        """We shall never know whether we could see then: our fault."""
        unsure = [(replace(reading, outcome=Outcome.FAULT, reason="stopped"), at) for reading, at in self._held]
        self._ready.extend(unsure)
        self._held = []

    def take(self, most: int) -> list[Item]:
        return [self._ready.popleft() for _ in range(min(most, len(self._ready)))]

    def give_back(self, items: Sequence[Item]) -> None:
        self._ready.extendleft(reversed(items))
        self._shed()

    def _shed(self) -> None:
        while len(self) > self.limit:
            self._ready.popleft() if self._ready else self._held.pop(0)
            self.dropped += 1
