"""Compare what a visitor's page says with what this service itself served and timed. Pure.

A page can say anything. What is bounded: no round trip is shorter than its way, and no rate differs much from ours.
What a page says too slow on purpose, it can also do too slow: that is not told apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from app.profiles import Technology
from app.visitors.models import Flaw, VisitDirection, VisitNetwork
from app.visitors.result_parser import ResultRow, Transferred

# Round trips over that technology are never shorter, in microseconds: GEO goes up and down twice.
SHORTEST_US = {
    Technology.FIBER: 200,
    Technology.RADIO: 200,
    Technology.CELLULAR: 4_000,
    Technology.LEO: 8_000,
    Technology.GEO: 450_000,
}
FASTER, SLOWER = 1.3, 4.0  # a page's rate to ours, either way: warm-ups differ, and buffers fill
TIMER_MS = 50.0  # a short transfer's time is as coarse as this
SAME_TEST = timedelta(minutes=5)  # between the start by our clock and the result's own moment
SERVED_SLACK = 4_096


class Served(Protocol):
    """A settled transfer: what this service counted and timed."""

    @property
    def id(self) -> int: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def bytes(self) -> int: ...
    @property
    def ms(self) -> int: ...
    @property
    def mbps(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class JudgedResult:
    """`transfers`: the ids of those that the result is of."""

    flaw: Flaw | None
    down_mbps: float | None = None
    up_mbps: float | None = None
    transfers: tuple[int, ...] = ()


def judge_row(
    row: ResultRow,
    at: datetime,
    technology: Technology,
    network: VisitNetwork,
    served: Mapping[VisitDirection, Sequence[Served]],
) -> JudgedResult:
    """Return the figures of a result, or what is wrong with it."""
    if network is not VisitNetwork.OTHER and row.rtt_us and min(row.rtt_us) < SHORTEST_US[technology]:
        return JudgedResult(Flaw.RTT_IMPOSSIBLE)
    rates: dict[VisitDirection, float | None] = dict.fromkeys(VisitDirection)
    ids = []
    for direction, said in ((VisitDirection.DOWN, row.down), (VisitDirection.UP, row.up)):
        if said is None:
            continue
        transfer = _nearest(served.get(direction, ()), at)
        if transfer is None:
            return JudgedResult(Flaw.NOT_SERVED)
        ids.append(transfer.id)
        if flaw := _flaw(said, transfer):
            return JudgedResult(flaw, transfers=tuple(ids))
        rates[direction] = said.mbps
    return JudgedResult(None, rates[VisitDirection.DOWN], rates[VisitDirection.UP], tuple(ids))


def _nearest(served: Sequence[Served], at: datetime) -> Served | None:
    near = [transfer for transfer in served if abs(transfer.started_at - at) <= SAME_TEST]
    return min(near, key=lambda transfer: abs(transfer.started_at - at), default=None)


def _flaw(said: Transferred, ours: Served) -> Flaw | None:
    if said.bytes > ours.bytes + SERVED_SLACK:
        return Flaw.MORE_THAN_SERVED
    whole = ours.bytes * 8 / 1000 / max(ours.ms, 1)
    cautious = said.bytes * 8 / 1000 / (said.ms + TIMER_MS)
    if cautious > FASTER * max(whole, ours.mbps or 0):
        return Flaw.FASTER_THAN_SERVED
    if ours.mbps is not None and said.mbps * SLOWER < ours.mbps:
        return Flaw.SLOWER_THAN_SERVED
    return None
