"""Counts how many seconds of a period a site was up, down or unknown; they add up to the period exactly. Pure.

Each second gets one kind, decided in this order: `inactive` outside the site's time in service, `maintenance` inside a
planned window, else the state. All figures derive from the same slices, so parts always add up to the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.availability.intervals import IntervalMap, align
from app.availability.policy import ContractPolicy, policies_in_force
from app.availability.tally import BAD_STATES, DowntimeRun, Slice, Tally
from app.registry.configuration import ConfigurationInForce
from app.registry.models import State


@dataclass(frozen=True, slots=True)
class CountableHistory:
    """All that counting a site needs.

    `states` hold outages in their whole length, also where they reach beyond the period that is counted.
    """

    states: IntervalMap[State]
    configurations: IntervalMap[ConfigurationInForce]
    maintenance: IntervalMap[bool]
    causes: IntervalMap[str]
    policies: IntervalMap[ContractPolicy]
    site_id: int = 0


def tally_parts(history: CountableHistory, parts: Sequence[tuple[int, int]]) -> list[Tally]:
    """Return a tally for each part `(start, end)`; parts follow each other in order."""
    tallies = [Tally() for _ in parts]
    for slice_ in cut_slices(history, parts):
        tallies[slice_.part].add(slice_)
    return tallies


def cut_slices(history: CountableHistory, parts: Sequence[tuple[int, int]]) -> list[Slice]:
    """Cut the parts wherever anything changes.

    An outage is a run of `down` that no other state interrupts; maintenance inside it takes seconds from it but does
    not split it. A contract's outage is a run of down or unreachable. Its length is what remains without maintenance,
    time out of service or outside service hours, and excused seconds; it counts when that reaches the contract's
    minimum. It is measured from the first lost reading to the answer that ended it: the last lost reading, which would
    give the provable minimum, is not stored.
    """
    states = _trim_but_outages(history.states, parts[0][0], parts[-1][1])
    low, high = min(parts[0][0], states[0][0]), max(parts[-1][1], states[-1][1])
    maps: list[IntervalMap[Any]] = [
        [(start, end, number) for number, (start, end) in enumerate(parts)],
        states,
        history.configurations,
        history.maintenance,
        history.causes,
        policies_in_force(history.policies, low, high),
    ]
    slices: list[Slice] = []
    down_since: int | None = None
    run: DowntimeRun | None = None
    for start, end, (part, state, configuration, maintained, cause, contract) in align(maps, low, high):
        down_since = (down_since or start) if state is State.DOWN else None
        run = (run or DowntimeRun()) if state in BAD_STATES else None
        kind = _kind(state, configuration, maintained)
        counts = (
            kind in BAD_STATES
            and contract is not None
            and contract.in_service_hours
            and not contract.policy.excuses(kind, cause)
        )
        if run is not None and counts:
            run.countable_s += end - start
        if part is not None:
            outage = None if down_since is None else (history.site_id, down_since)
            counted_run = run if counts else None
            slices.append(Slice(part, end - start, kind, configuration, outage, cause, contract, counted_run))
    return slices


def _kind(state: State | None, configuration: ConfigurationInForce | None, maintained: bool | None) -> str:
    if configuration is None or not configuration.active:
        return "inactive"
    if maintained:
        return "maintenance"
    return "unknown" if state is None else state.value


def _trim_but_outages(states: IntervalMap[State], low: int, high: int) -> IntervalMap[State]:
    """Clip everything to low and high except outages, which count by their whole length."""
    kept = [(a, b, s) if s in BAD_STATES else (max(a, low), min(b, high), s) for a, b, s in states]
    return [interval for interval in kept if interval[0] < interval[1]] or [(low, high, State.UNKNOWN)]
