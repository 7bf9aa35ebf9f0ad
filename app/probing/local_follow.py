"""What a prober makes of its own readings, to know what to look at again soon. Pure.

It decides no state: that is judged elsewhere, or together with what other vantages see. A first loss is confirmed after
ten seconds, a long outage looked at less often, and a site that never answered is looked at as always: a mistyped
address is no outage.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from app.core.clock import from_slot
from app.judging.ingest import JudgedSite
from app.judging.judge import CONFIRMING_TIMEOUTS
from app.registry.models import State
from probes.reading_block import FAULT, OK, ReadingBlock


@dataclass(slots=True)
class FollowedSite:
    since: datetime
    state: State = State.UNKNOWN  # until it answers
    seen_slot: int = 0
    pending_at: datetime | None = None
    timeouts: int = 0


@dataclass
class LocalFollow:
    parents: dict[int, int | None] = field(default_factory=dict)
    _sites: dict[int, FollowedSite] = field(default_factory=dict)

    def forget(self, keys: Iterable[int]) -> None:
        """Of sites that are not looked at any more, or at another address."""
        for key in keys:
            self._sites.pop(key, None)

    def follow(self, readings: ReadingBlock, expected: NDArray[np.int8]) -> list[JudgedSite]:
        """Return what the schedule follows: nothing of sites that answer as expected, as nearly all do."""
        rows = np.flatnonzero((readings.outcome != OK) | (expected != OK))
        columns = (readings.key, readings.slot, readings.outcome)
        followed = {
            key: site
            for key, slot, outcome in zip(*(column[rows].tolist() for column in columns), strict=True)
            if (site := self._take(key, slot, outcome)) is not None
        }
        return [
            JudgedSite(key, site.state, site.since, from_slot(site.seen_slot), site.pending_at, self.parents.get(key))
            for key, site in followed.items()
        ]

    def _take(self, key: int, slot: int, outcome: int) -> FollowedSite | None:
        site = self._sites.setdefault(key, FollowedSite(from_slot(slot)))
        if slot <= site.seen_slot:
            return None
        site.seen_slot = slot
        if outcome == OK:
            if site.state is not State.UP:
                site.state, site.since = State.UP, from_slot(slot)
            site.timeouts, site.pending_at = 0, None
        elif outcome != FAULT and site.state is State.UP:
            site.timeouts += 1
            site.pending_at = site.pending_at or from_slot(slot)
            if site.timeouts >= CONFIRMING_TIMEOUTS:
                site.state, site.since, site.pending_at = State.DOWN, site.pending_at, None
        return site
