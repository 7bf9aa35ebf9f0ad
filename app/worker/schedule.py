"""When each site is probed: evenly spread phases, quick confirmation of a first loss, longer pauses in long outages.

It reads no clock: the time is an argument. Slots are whole seconds since 1970.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil

import numpy as np
from numpy.typing import NDArray

from app.core.clock import to_slot
from app.judging.blind_ranges import MOST_PACKETS
from app.judging.ingest import JudgedSite
from app.judging.judge import BAD
from app.registry.models import State
from probes.contract import Outcome, Target
from probes.reading_block import OUTCOME_CODES

GOLDEN = 0.6180339887498949  # successive multiples of it fill an interval evenly, however many there are
CONFIRM_S, CONFIRM_PACKETS = 10, MOST_PACKETS
MOST_REPEATS_A_SLOT = 100  # the rest waits a second, so that an outage of a whole province is no burst
LATEST_START_S = 5  # a slot that could not be served by then was missed: a probe now is no evidence of then
UNKNOWN = -1  # of an outcome

DueProbe = tuple[Target, datetime]  # with the moment since when its address is the site's


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """How one site is probed. `target` carries everything but the slot."""

    target: Target
    interval_s: int
    addressed_at: datetime

    @property
    def phase(self) -> int:
        return int(self.target.key * GOLDEN % 1 * self.interval_s)

    def next_regular(self, after: int) -> int:
        return after + 1 + (self.phase - after - 1) % self.interval_s


@dataclass(slots=True)
class DueSlot:
    slot: int
    confirms: bool = False


@dataclass
class Schedule:
    plans: dict[int, ProbePlan] = field(default_factory=dict)
    missed: int = 0  # slots in which no probe was sent
    expected: dict[int, Outcome | None] = field(default_factory=dict)  # by site, of a probe if nothing has changed
    _due: dict[int, DueSlot] = field(default_factory=dict)
    _heap: list[tuple[int, int]] = field(default_factory=list)
    _repeats: Counter[int] = field(default_factory=Counter)
    _last_slots: dict[int, int] = field(default_factory=dict)  # by site

    def put(self, plan: ProbePlan, *, now: int, at_once: bool = False) -> None:
        """Add or replace a site's plan; `at_once` for one that was just registered."""
        key = plan.target.key
        self.plans[key] = plan
        self._set(key, DueSlot(now + 1 if at_once else plan.next_regular(now)))

    def remove(self, key: int) -> None:
        self.plans.pop(key, None)
        self._due.pop(key, None)
        self._last_slots.pop(key, None)

    def restart(self, now: int) -> None:
        """Let every site wait for its next regular slot from `now` on: the clock was stepped."""
        self._heap.clear()
        self._repeats.clear()
        self._last_slots.clear()
        for key, plan in self.plans.items():
            self._set(key, DueSlot(plan.next_regular(now)))

    def take(self, now: int) -> list[DueProbe]:
        """Remove and return every probe due by now, each with its own slot, and schedule the next of its site."""
        taken: list[DueProbe] = []
        while self._heap and self._heap[0][0] <= now:
            slot, key = heapq.heappop(self._heap)
            due, plan = self._due.get(key), self.plans.get(key)
            if due is None or plan is None or due.slot != slot:
                continue  # replaced since
            if now - slot <= LATEST_START_S:
                taken.append((_aim(plan, due), plan.addressed_at))
                self._last_slots[key] = slot
            else:
                self.missed += 1
            over = slot + max_duration_s(_aim(plan, due))  # two probes of one site never overlap
            self._set(key, DueSlot(plan.next_regular(max(over, now - LATEST_START_S - 1))))
        self._forget_repeats(now)
        return taken

    def follow(self, judged: Iterable[JudgedSite], *, now: int) -> None:
        """Probe again soon where judgement needs to know more, and less often the longer an outage lasts."""
        for item in judged:
            self.expected[item.site_id] = _expected_outcome(item)
            if item.pending_at is not None and item.parent_id in self.plans:  # of a site that pushes, too
                self._probe_parent(item.parent_id, to_slot(item.pending_at), now)
            plan = self.plans.get(item.site_id)
            if plan is None or (every := repeat_after_s(item, plan, now)) is None:
                continue
            slot = max(to_slot(item.seen_at) + every if item.seen_at else 0, now + 1)
            while self._repeats[slot] >= MOST_REPEATS_A_SLOT:
                slot += 1
            if slot < self._due[item.site_id].slot:
                self._repeats[slot] += 1
                self._set(item.site_id, DueSlot(slot, confirms=True))

    def expected_outcomes(self, keys: NDArray[np.int32]) -> NDArray[np.int8]:
        """Return by site what a probe finds if nothing has changed; UNKNOWN where any outcome is news."""
        outcomes = (self.expected.get(key) for key in keys.tolist())
        codes = [UNKNOWN if outcome is None else OUTCOME_CODES[outcome] for outcome in outcomes]
        return np.array(codes, np.int8)

    def _probe_parent(self, parent_id: int, since: int, now: int) -> None:
        """A site behind a node that is down is not down itself: the node is probed at once."""
        if self._last_slots.get(parent_id, 0) < since and self._due[parent_id].slot > now + 1:
            self._set(parent_id, DueSlot(now + 1, confirms=True))

    def _set(self, key: int, due: DueSlot) -> None:
        self._due[key] = due
        heapq.heappush(self._heap, (due.slot, key))

    def _forget_repeats(self, now: int) -> None:
        for slot in [slot for slot in self._repeats if slot < now]:
            del self._repeats[slot]


def repeat_after_s(item: JudgedSite, plan: ProbePlan, now: int) -> int | None:
    """Return after how many seconds to probe again before the next regular slot; None if not before."""
    if item.pending:
        return CONFIRM_S
    if item.state not in BAD:
        return None
    lasted = now - to_slot(item.since)
    every = CONFIRM_S if lasted < 600 else 30 if lasted < 3600 else plan.interval_s
    return every if every < plan.interval_s else None


def _expected_outcome(item: JudgedSite) -> Outcome | None:
    if item.pending:
        return None
    return Outcome.OK if item.state in {State.UP, State.DEGRADED} else Outcome.TIMEOUT


def max_duration_s(target: Target) -> int:
    """Return how long a probe takes at most."""
    return ceil((target.packets - 1) * target.spacing_s + target.timeout_s)


def _aim(plan: ProbePlan, due: DueSlot) -> Target:
    packets = CONFIRM_PACKETS if due.confirms else plan.target.packets
    return replace(plan.target, slot=due.slot, packets=packets)
