"""Whether we ourselves can reach the network: addresses beyond our uplink, probed every two seconds.

While none of them answers we are blind, from their last answer to their next: a timeout in between says nothing about
its site.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.core.clock import from_slot
from app.judging.blind_ranges import BlindRange
from app.judging.canary_evidence import CanaryBeat, CanaryLog
from probes.contract import Outcome, ProbeKind, Reading, Target
from probes.target_block import TargetBlock

TIMEOUT_S = 1.5


@dataclass
class Canaries:
    """Moments are seconds since 1970 by the slot clock."""

    addresses: Sequence[str]
    seen_until: float = 0.0  # when the newest beat that was answered was sent
    blind_since: float | None = None
    beats: int = 0
    silent: int = 0
    answering: dict[str, bool] = field(default_factory=dict)  # by address, as of the last beat
    new_blind_ranges: list[BlindRange] = field(default_factory=list)  # since `take_blind_ranges`
    log: CanaryLog = field(init=False)
    _past: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=1000))

    def __post_init__(self) -> None:
        self.log = CanaryLog(self.addresses)

    @cached_property
    def targets(self) -> TargetBlock:
        """Return what a beat probes; its slot is of no use to anybody."""
        return TargetBlock.of(
            [
                Target(-number, 0, ProbeKind.ICMP, address, packets=1, timeout_s=TIMEOUT_S)
                for number, address in enumerate(self.addresses, 1)
            ]
        )

    def record(self, readings: Sequence[Reading], sent_at: float) -> None:
        """Record one beat. Beats may end out of order; an older one changes nothing."""
        self.beats += 1
        if sent_at <= self.seen_until:
            return
        self.log.append(CanaryBeat(sent_at, tuple(reading.outcome is Outcome.OK for reading in readings)))
        self.answering = {self.addresses[-reading.key - 1]: reading.outcome is Outcome.OK for reading in readings}
        if any(self.answering.values()):
            if self.blind_since is not None:
                self.new_blind_ranges.append(self.blind_range(sent_at))
                self._past.append((self.blind_since, sent_at))
            self.seen_until, self.blind_since = sent_at, None
        else:
            self.silent += 1
            if self.blind_since is None:
                self.blind_since = self.seen_until or sent_at

    def take_blind_ranges(self) -> list[BlindRange]:
        """Return and forget the ranges that ended since the last call."""
        ranges, self.new_blind_ranges = self.new_blind_ranges, []
        return ranges

    def know_about(self, moment: float) -> bool:
        """Whether the canaries' answers show by now if we were blind then; always, without canaries."""
        return not self.addresses or self.seen_until >= moment

    def blind_mask(self, starts: NDArray[np.int64], end: float) -> NDArray[np.bool_]:
        """Return for each of `starts` whether we were blind at some time from then until `end`."""
        blind = np.zeros(len(starts), bool)
        for first, last in self._past:
            if first < end:
                blind |= starts < last
        return blind

    def blind_range(self, end: float) -> BlindRange:
        """Return the present blindness until `end` in whole seconds, outwards, with the canaries' silence in it."""
        start = self.blind_since if self.blind_since is not None else end
        evidence = self.log.evidence(start, end).as_json()
        return BlindRange(from_slot(int(start)), from_slot(int(end) + 1), "uplink", evidence)

    def step_back(self, to: float) -> None:
        """Forget what lies beyond `to`, to which the clock was set back."""
        self.log.forget_after(to)
        self.seen_until = min(self.seen_until, to)
        if self.blind_since is not None:
            self.blind_since = min(self.blind_since, to)
