"""When each site is probed: evenly spread phases, quick confirmation of a first loss, longer pauses in long outages.

It reads no clock: the time is an argument. Slots are whole seconds since 1970.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from app.core.clock import to_slot
from app.core.row_index import ABSENT, RowIndex
from app.judging.ingest import JudgedSite
from app.probing.probe_plan import CONFIRM_PACKETS, PLAN, PlanRows, ProbePlan, next_regular, plan_rows, repeat_after_s
from app.registry.models import State
from probes.echo_batch import PingBatch
from probes.reading_block import OK, TIMEOUT
from probes.sockaddr import NO_ADDRESS
from probes.target_block import TargetBlock

MOST_REPEATS_A_SLOT = 100  # the rest waits a second, so that an outage of a whole province is no burst
LATEST_START_S = 5  # a slot that could not be served by then was missed: a probe now is no evidence of then
UNKNOWN = -1  # of an outcome
NEVER = np.iinfo(np.int64).max
FIRST_ROWS = 64

STATE = np.dtype([("last_slot", np.int64), ("confirms", np.bool_), ("expected", np.int8)])


@dataclass(frozen=True, slots=True, eq=False)
class DueProbes:
    targets: TargetBlock
    addressed_at: NDArray[np.int64]  # since when each address is its site's, in microseconds since 1970

    def __len__(self) -> int:
        return len(self.targets)


@dataclass
class Schedule:
    """A site is a row: a second costs one comparison of them all, and what is due in it."""

    plans: dict[int, ProbePlan] = field(default_factory=dict)
    missed: int = 0  # slots in which no probe was sent
    _index: RowIndex = field(default_factory=RowIndex)
    _plans: PlanRows = field(default_factory=lambda: np.zeros(FIRST_ROWS, PLAN))
    _due: NDArray[np.int64] = field(default_factory=lambda: np.full(FIRST_ROWS, NEVER))  # the next slot
    _state: NDArray[np.void] = field(default_factory=lambda: np.zeros(FIRST_ROWS, STATE))
    _repeats: Counter[int] = field(default_factory=Counter)

    def put(self, *plans: ProbePlan, now: int, at_once: bool = False) -> None:
        """Add or replace sites' plans; `at_once` for those just registered."""
        if not plans:
            return
        keys = [plan.target.key for plan in plans]
        rows = np.array([self._index.add(key) for key in keys])
        self._grow()
        self._state[rows[[key not in self.plans for key in keys]]] = 0, False, UNKNOWN
        self.plans.update(zip(keys, plans, strict=True))
        self._plans[rows] = of_plans = plan_rows(plans)
        self._due[rows] = now + 1 if at_once else next_regular(of_plans, np.full(len(rows), now))
        self._state["confirms"][rows] = False

    def remove(self, key: int) -> None:
        if self.plans.pop(key, None) is not None:
            self._due[self._index.remove(key)] = NEVER

    def restart(self, now: int) -> None:
        """Let every site wait for its next regular slot from `now` on: the clock was stepped."""
        self._repeats.clear()
        self._state["last_slot"], self._state["confirms"] = 0, False
        rows = np.flatnonzero(self._due != NEVER)
        self._due[rows] = next_regular(self._plans[rows], np.full(len(rows), now))

    @property
    def first_due(self) -> int:
        """The slot before which nothing is due any more."""
        return int(self._due.min())

    def catch_up(self, since: int, now: int) -> None:
        """Probe at once what fell due after `since`, from when on nobody probed."""
        rows = np.flatnonzero(self._due != NEVER)
        self._due[rows[next_regular(self._plans[rows], np.full(len(rows), since)) <= now]] = now + 1

    def take(self, now: int) -> DueProbes:
        """Remove and return every probe due by now, each with its own slot, and schedule the next of its site."""
        taken = [np.zeros((3, 0), np.int64)]  # row, slot, whether it confirms
        while len(rows := np.flatnonzero(self._due <= now)):  # a short interval may have been due more than once
            plans, slots, confirms = self._plans[rows], self._due[rows], self._state["confirms"][rows]
            timely = now - slots <= LATEST_START_S
            taken.append(np.array([rows, slots, confirms])[:, timely])
            self._state["last_slot"][rows[timely]] = slots[timely]
            self.missed += len(rows) - int(timely.sum())
            over = slots + np.where(confirms, plans["confirmation_lasts_s"], plans["lasts_s"])
            after = np.maximum(over, now - LATEST_START_S - 1)  # two probes of one site never overlap
            self._due[rows], self._state["confirms"][rows] = next_regular(plans, after), False
        self._forget_repeats(now)
        return self._aim(*np.concatenate(taken, axis=1))

    def follow(self, judged: Iterable[JudgedSite], *, now: int) -> None:
        """Probe again soon where judgement needs to know more, and less often the longer an outage lasts."""
        open_slots: dict[int, int] = {}  # by slot, the first one not before it that may take another repeat
        for item in judged:
            if item.pending_at is not None and item.parent_id in self.plans:  # of a site that pushes, too
                self._probe_parent(item.parent_id, to_slot(item.pending_at), now)
            plan, row = self.plans.get(item.site_id), self._index.row(item.site_id)
            if plan is None:
                continue
            self._state["expected"][row] = _expected_outcome(item)
            if (every := repeat_after_s(item, plan, now)) is None:
                continue
            wanted = max(to_slot(item.seen_at) + every if item.seen_at else 0, now + 1)
            slot = open_slots.get(wanted, wanted)
            while self._repeats[slot] >= MOST_REPEATS_A_SLOT:
                slot += 1
            open_slots[wanted] = slot
            if slot < self._due[row]:
                self._repeats[slot] += 1
                self._set(row, slot, confirms=True)

    def expected_outcomes(self, keys: NDArray[np.int32]) -> NDArray[np.int8]:
        """Return by site what a probe finds if nothing has changed; UNKNOWN where any outcome is news."""
        rows = self._index.rows(keys)
        return np.where(rows == ABSENT, UNKNOWN, self._state["expected"][rows]).astype(np.int8)

    def _probe_parent(self, parent_id: int, since: int, now: int) -> None:
        """A site behind a node that is down is not down itself: the node is probed at once."""
        row = self._index.row(parent_id)
        if self._state["last_slot"][row] < since and self._due[row] > now + 1:
            self._set(row, now + 1, confirms=True)

    def _set(self, row: int, slot: int, *, confirms: bool = False) -> None:
        self._due[row], self._state["confirms"][row] = slot, confirms

    def _aim(self, rows: NDArray[np.int64], slots: NDArray[np.int64], confirms: NDArray[np.int64]) -> DueProbes:
        """Return probes of these rows, by slot and site."""
        order = np.lexsort((self._plans["key"][rows], slots))
        plans, slots = self._plans[rows[order]], slots[order]
        packets = np.where(confirms[order], CONFIRM_PACKETS, plans["packets"]).astype(np.int32)
        pings = PingBatch(plans["to"], packets, plans["spacing_ns"], plans["timeout_ns"])
        others = [
            replace(self.plans[int(plans["key"][row])].target, slot=int(slots[row]), packets=int(packets[row]))
            for row in np.flatnonzero(plans["to"]["family"] == NO_ADDRESS)
        ]
        targets = TargetBlock(plans["key"].copy(), slots, plans["valid_s"].copy(), pings, others)
        return DueProbes(targets, plans["addressed_at"].copy())

    def _grow(self) -> None:
        if (more := max(self._index.size - len(self._due), 0)) > 0:
            more = max(more, len(self._due))
            self._plans = np.concatenate([self._plans, np.zeros(more, PLAN)])
            self._due = np.concatenate([self._due, np.full(more, NEVER)])
            self._state = np.concatenate([self._state, np.zeros(more, STATE)])

    def _forget_repeats(self, now: int) -> None:
        for slot in [slot for slot in self._repeats if slot < now]:
            del self._repeats[slot]


def _expected_outcome(item: JudgedSite) -> int:
    if item.pending:
        return UNKNOWN
    return OK if item.state in {State.UP, State.DEGRADED} else TIMEOUT
