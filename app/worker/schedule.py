"""When each site is looked at: evenly spread phases, quick confirmation of a first loss, patience with long outages.

Pure but for its own memory: it is told the time. Slots are whole seconds since 1970.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil

from app.core.clock import to_slot
from app.judging.blind_ranges import MOST_PACKETS
from app.judging.ingest import JudgedSite
from app.judging.judge import BAD
from probes.contract import Target

GOLDEN = 0.6180339887498949  # successive multiples of it fill an interval evenly, however many there are
CONFIRM_S, CONFIRM_PACKETS = 10, MOST_PACKETS
MOST_REREADS_A_SLOT = 100  # more than that wait a second, so that a province going dark is no burst
LATEST_START_S = 5  # a slot that could not be served by then was missed: a look now is no evidence of then


@dataclass(frozen=True, slots=True)
class Plan:
    """How one site is looked at. `target` carries everything but the slot."""

    target: Target
    interval_s: int
    addressed_at: datetime

    @property
    def phase(self) -> int:
        return int(self.target.key * GOLDEN % 1 * self.interval_s)

    def next_regular(self, after: int) -> int:
        return after + 1 + (self.phase - after - 1) % self.interval_s


@dataclass(slots=True)
class Due:
    slot: int
    confirms: bool = False


@dataclass
class Schedule:
    plans: dict[int, Plan] = field(default_factory=dict)
    missed: int = 0  # slots that came and went without a look
    _due: dict[int, Due] = field(default_factory=dict)
    _heap: list[tuple[int, int]] = field(default_factory=list)
    _rereads: Counter[int] = field(default_factory=Counter)
    _looked: dict[int, int] = field(default_factory=dict)  # the last slot of each site

    def put(self, plan: Plan, *, now: int, at_once: bool = False) -> None:
        """Adds or replaces a site's plan; `at_once` for one that has just been registered."""
        key = plan.target.key
        self.plans[key] = plan
        self._set(key, Due(now + 1 if at_once else plan.next_regular(now)))

    def remove(self, key: int) -> None:
        self.plans.pop(key, None)
        self._due.pop(key, None)
        self._looked.pop(key, None)

    def restart(self, now: int) -> None:
        """The clock was stepped: every site waits for its next regular slot from here."""
        self._heap.clear()
        self._rereads.clear()
        self._looked.clear()
        for key, plan in self.plans.items():
            self._set(key, Due(plan.next_regular(now)))

    def take(self, now: int) -> list[tuple[Target, datetime]]:
        """Every look that fell due up to now, each with its own slot, and the next look of its site put down."""
        taken = []
        while self._heap and self._heap[0][0] <= now:
            slot, key = heapq.heappop(self._heap)
            due, plan = self._due.get(key), self.plans.get(key)
            if due is None or plan is None or due.slot != slot:
                continue  # replaced since
            if now - slot <= LATEST_START_S:
                taken.append((_aim(plan, due), plan.addressed_at))
                self._looked[key] = slot
            else:
                self.missed += 1
            over = slot + lasts_s(_aim(plan, due))  # two looks at one site never overlap
            self._set(key, Due(plan.next_regular(max(over, now - LATEST_START_S - 1))))
        self._forget_rereads(now)
        return taken

    def follow(self, judged: Iterable[JudgedSite], *, now: int) -> None:
        """Looks again soon where judgement wants to know more, and less often the longer an outage lasts."""
        for item in judged:
            if item.pending_at is not None and item.parent_id in self.plans:  # of a site that reports itself, too
                self._ask_parent(item.parent_id, to_slot(item.pending_at), now)
            plan = self.plans.get(item.site_id)
            if plan is None or (every := reread_s(item, plan, now)) is None:
                continue
            slot = max(to_slot(item.seen_at) + every if item.seen_at else 0, now + 1)
            while self._rereads[slot] >= MOST_REREADS_A_SLOT:
                slot += 1
            if slot < self._due[item.site_id].slot:
                self._rereads[slot] += 1
                self._set(item.site_id, Due(slot, confirms=True))

    def _ask_parent(self, parent_id: int, since: int, now: int) -> None:
        """What hangs on a node that is out is not out itself: the node is looked at right away."""
        if self._looked.get(parent_id, 0) < since and self._due[parent_id].slot > now + 1:
            self._set(parent_id, Due(now + 1, confirms=True))

    def _set(self, key: int, due: Due) -> None:
        self._due[key] = due
        heapq.heappush(self._heap, (due.slot, key))

    def _forget_rereads(self, now: int) -> None:
        for slot in [slot for slot in self._rereads if slot < now]:
            del self._rereads[slot]


def reread_s(item: JudgedSite, plan: Plan, now: int) -> int | None:
    """After so many seconds it is looked at again out of turn; None: in its turn."""
    if item.pending:
        return CONFIRM_S
    if item.state not in BAD:
        return None
    lasted = now - to_slot(item.since)
    every = CONFIRM_S if lasted < 600 else 30 if lasted < 3600 else plan.interval_s
    return every if every < plan.interval_s else None


def lasts_s(target: Target) -> int:
    return ceil((target.packets - 1) * target.spacing_s + target.timeout_s)


def _aim(plan: Plan, due: Due) -> Target:
    packets = CONFIRM_PACKETS if due.confirms else plan.target.packets
    return replace(plan.target, slot=due.slot, packets=packets)
