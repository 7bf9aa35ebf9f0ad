"""Whether we ourselves can reach the world: addresses beyond our uplink, beaten every two seconds.

While all of them are silent we are blind, from their last answer to their next: what times out in between says nothing
about the villages.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.clock import from_slot
from app.judging.blind_ranges import BlindRange
from probes.contract import Outcome, ProbeKind, Reading, Target
from probes.sweep import Prober

BEAT_S = 2
TIMEOUT_S = 1.5


@dataclass
class Canaries:
    """Moments are seconds since 1970 by the slot clock."""

    addresses: Sequence[str]
    seen_until: float = 0.0  # the sending of the last beat that was answered: up to here we saw
    blind_since: float | None = None
    beats: int = 0
    silent: int = 0
    answering: dict[str, bool] = field(default_factory=dict)  # by address, as of the last beat
    found: list[BlindRange] = field(default_factory=list)  # not yet recorded
    past: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=1000))

    def targets(self, now: float) -> list[Target]:
        return [
            Target(-number, int(now), ProbeKind.ICMP, address, packets=1, timeout_s=TIMEOUT_S)
            for number, address in enumerate(self.addresses, 1)
        ]

    def heard(self, readings: Sequence[Reading], sent_at: float) -> None:
        """Takes in one beat. Beats may end out of order; an older one changes nothing."""
        self.beats += 1
        if sent_at <= self.seen_until:
            return
        self.answering = {self.addresses[-one.key - 1]: one.outcome is Outcome.OK for one in readings}
        if any(reading.outcome is Outcome.OK for reading in readings):
            if self.blind_since is not None:
                self.found.append(blind_range(self.blind_since, sent_at))
                self.past.append((self.blind_since, sent_at))
            self.seen_until, self.blind_since = sent_at, None
        else:
            self.silent += 1
            if self.blind_since is None:
                self.blind_since = self.seen_until or sent_at

    def clears(self, ended: float) -> bool:
        """Whether we know by now if we could see up to that moment. Without canaries there is nothing to wait for."""
        return not self.addresses or self.seen_until >= ended

    def were_blind(self, start: float, end: float) -> bool:
        return any(first < end and start < last for first, last in self.past)

    def step_back(self, to: float) -> None:
        """The clock was set back: no moment of ours may lie beyond it."""
        self.seen_until = min(self.seen_until, to)
        if self.blind_since is not None:
            self.blind_since = min(self.blind_since, to)


def blind_range(start: float, end: float) -> BlindRange:
    """In whole seconds, outwards: a second that was blind in part is blind."""
    return BlindRange(from_slot(int(start)), from_slot(int(end) + 1), "uplink")


async def beat(canaries: Canaries, prober: Prober, now: float) -> None:
    if canaries.addresses:
        canaries.heard(await prober.sweep(canaries.targets(now)), now)
