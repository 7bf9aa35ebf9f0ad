"""What the canaries show of a stretch of time: whether we could see, and which of them answered. Pure.

Canaries are addresses beyond our own uplink, beaten every two seconds. While most of them answer, a loss is the site's.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

MIN_CANARIES = 2  # one alone may fail by itself
MAX_PAUSE_S = 10.0  # between two beats: nothing is known of a longer one
KEPT_BEATS = 1800  # an hour


class CanaryVerdict(StrEnum):
    """`answering`: at least half of the canaries answered at every beat, so we could see; `silent`: fewer did at some
    beat; `unwatched`: not beaten over some of it; `too_few`: fewer than two are configured.
    """

    ANSWERING = "answering"
    SILENT = "silent"
    UNWATCHED = "unwatched"
    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True)
class CanaryBeat:
    sent_at: float  # seconds since 1970 by the slot clock
    answered: tuple[bool, ...]  # in the order of the addresses

    @property
    def mostly_answered(self) -> bool:
        return 2 * sum(self.answered) >= len(self.answered)


@dataclass(frozen=True, slots=True)
class CanaryEvidence:
    """`answered`: of so many `beats`, how many each canary answered, in the order of `addresses`."""

    verdict: CanaryVerdict
    addresses: Sequence[str]
    beats: int
    answered: Sequence[int]

    def as_json(self) -> dict[str, Any]:
        counts = zip(self.addresses, self.answered, strict=True)
        return {
            "verdict": self.verdict,
            "canaries": [{"address": a, "beats": self.beats, "answered": answered} for a, answered in counts],
        }


@dataclass
class CanaryLog:
    """The beats of the last hour, oldest first."""

    addresses: Sequence[str] = ()
    _beats: deque[CanaryBeat] = field(default_factory=lambda: deque(maxlen=KEPT_BEATS))

    def append(self, beat: CanaryBeat) -> None:
        self._beats.append(beat)

    def forget_after(self, moment: float) -> None:
        while self._beats and self._beats[-1].sent_at > moment:
            self._beats.pop()

    def since(self, moment: float) -> "CanaryLog":
        """Return the beats from a moment on."""
        log = CanaryLog(self.addresses)
        log._beats.extend(beat for beat in self._beats if beat.sent_at >= moment)
        return log

    def merged_with(self, other: "CanaryLog") -> "CanaryLog":
        """Return the beats of both; where the other one is of other addresses, its own alone."""
        if not self._beats or (other._beats and list(other.addresses) != list(self.addresses)):
            return other
        log, beats = CanaryLog(self.addresses), {beat.sent_at: beat for beat in (*self._beats, *other._beats)}
        log._beats.extend(beats[sent_at] for sent_at in sorted(beats))
        return log

    def as_json(self) -> dict[str, Any]:
        beats = [[beat.sent_at, [int(answered) for answered in beat.answered]] for beat in self._beats]
        return {"addresses": list(self.addresses), "beats": beats}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "CanaryLog":
        log = cls(document["addresses"])
        log._beats.extend(CanaryBeat(sent_at, tuple(map(bool, answered))) for sent_at, answered in document["beats"])
        return log

    def evidence(self, start: float, end: float) -> CanaryEvidence:
        """Return what the beats after `start` and before `end` show."""
        beats = list(self._between(start, end))
        answered = [sum(beat.answered[n] for beat in beats) for n in range(len(self.addresses))]
        return CanaryEvidence(self._verdict(beats, start, end), self.addresses, len(beats), answered)

    def could_see(self, start: float, end: float) -> bool:
        return self.evidence(start, end).verdict is CanaryVerdict.ANSWERING

    def _between(self, start: float, end: float) -> Iterator[CanaryBeat]:
        return (beat for beat in self._beats if start < beat.sent_at < end)

    def _verdict(self, beats: Iterable[CanaryBeat], start: float, end: float) -> CanaryVerdict:
        if len(self.addresses) < MIN_CANARIES:
            return CanaryVerdict.TOO_FEW
        beats = list(beats)
        if any(later - earlier > MAX_PAUSE_S for earlier, later in pairwise([start, *(b.sent_at for b in beats), end])):
            return CanaryVerdict.UNWATCHED
        return CanaryVerdict.ANSWERING if all(beat.mostly_answered for beat in beats) else CanaryVerdict.SILENT
