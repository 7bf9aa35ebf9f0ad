"""How one site is probed, as an object and as a row of columns, and how soon again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

import numpy as np
from numpy.typing import NDArray

from app.core.clock import to_micros, to_slot
from app.judging.blind_ranges import MOST_PACKETS
from app.judging.ingest import JudgedSite
from app.judging.judge import BAD
from probes.contract import Target
from probes.sockaddr import SOCKADDR
from probes.target_block import TargetBlock

GOLDEN = 0.6180339887498949  # successive multiples of it fill an interval evenly, however many there are
CONFIRM_S, CONFIRM_PACKETS = 10, MOST_PACKETS

PLAN = np.dtype(
    [
        ("key", np.int32),
        ("interval_s", np.int32),
        ("phase", np.int32),
        ("packets", np.int32),
        ("valid_s", np.int32),
        ("lasts_s", np.int32),
        ("confirmation_lasts_s", np.int32),
        ("spacing_ns", np.int64),
        ("timeout_ns", np.int64),
        ("addressed_at", np.int64),  # microseconds since 1970
        ("to", SOCKADDR),
    ]
)
PlanRows = NDArray[np.void]  # of PLAN


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


def plan_rows(plans: Sequence[ProbePlan]) -> PlanRows:
    targets = [plan.target for plan in plans]
    pings = TargetBlock.of(targets).pings
    rows = np.zeros(len(plans), PLAN)
    rows["key"] = [target.key for target in targets]
    rows["interval_s"] = [plan.interval_s for plan in plans]
    rows["phase"] = [plan.phase for plan in plans]
    rows["packets"] = [target.packets for target in targets]
    rows["valid_s"] = [target.valid_s for target in targets]
    rows["lasts_s"] = [max_duration_s(target) for target in targets]
    rows["confirmation_lasts_s"] = [max_duration_s(target, CONFIRM_PACKETS) for target in targets]
    rows["spacing_ns"], rows["timeout_ns"], rows["to"] = pings.spacing_ns, pings.timeout_ns, pings.to
    rows["addressed_at"] = [to_micros(plan.addressed_at) for plan in plans]
    return rows


def next_regular(plans: PlanRows, after: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `ProbePlan.next_regular` of each plan."""
    slots: NDArray[np.int64] = after + 1 + (plans["phase"] - after - 1) % plans["interval_s"]
    return slots


def max_duration_s(target: Target, packets: int | None = None) -> int:
    """Return how long a probe takes at most, of so many packets."""
    return ceil(((packets or target.packets) - 1) * target.spacing_s + target.timeout_s)


def repeat_after_s(item: JudgedSite, plan: ProbePlan, now: int) -> int | None:
    """Return after how many seconds to probe again before the next regular slot; None if not before."""
    if item.pending:
        return CONFIRM_S
    if item.state not in BAD:
        return None
    lasted = now - to_slot(item.since)
    every = CONFIRM_S if lasted < 600 else 30 if lasted < 3600 else plan.interval_s
    return every if every < plan.interval_s else None
