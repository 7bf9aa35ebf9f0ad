"""Which probers may look at sites now, and when that changes without anybody's doing. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEASE_S = 30.0  # three missed beats
BLIND_S = 30.0  # its uplink may be back by then


@dataclass(frozen=True, slots=True)
class ProberState:
    id: int
    vantage: int
    silent_s: float | None  # since it was heard; None: never
    blind_s: float | None = None  # since no canary of its own answers; None: they do

    @property
    def has_lease(self) -> bool:
        return self.silent_s is not None and self.silent_s <= LEASE_S

    @property
    def can_see(self) -> bool:
        return self.blind_s is None or self.blind_s <= BLIND_S


def live_by_vantage(probers: Iterable[ProberState]) -> dict[int, list[int]]:
    """Return by vantage who may be given sites: those that were heard, and see. A vantage without any is left out."""
    live: dict[int, list[int]] = {}
    for prober in probers:
        if prober.has_lease and prober.can_see:
            live.setdefault(prober.vantage, []).append(prober.id)
    return live


def next_change_s(probers: Sequence[ProberState]) -> float:
    """Return the seconds until a lease runs out, or a blindness has lasted too long, if nobody beats until then."""
    ends = [LEASE_S - prober.silent_s for prober in probers if prober.has_lease and prober.silent_s is not None]
    ends += [BLIND_S - prober.blind_s for prober in probers if prober.blind_s is not None and prober.can_see]
    return max(0.0, min(ends, default=float("inf")))


@dataclass
class OwnSilence:
    """Whether silence may be ours: no beat reaches us while the database or the api is away, or a worker just began.

    A lease ends only once beats have arrived, or not arrived, for its length; else a short failover would move sites of
    all probers to the one whose beat comes first.
    """

    _is_heard: bool | None = None
    _until: float = 0.0

    def lasts_s(self, probers: Iterable[ProberState], now: float) -> float:
        """Return for how long from `now` nobody's silence proves anything; call it whenever states were read."""
        is_heard = any(prober.has_lease for prober in probers)
        if is_heard != self._is_heard:
            self._is_heard, self._until = is_heard, now + LEASE_S
        return max(0.0, self._until - now)
