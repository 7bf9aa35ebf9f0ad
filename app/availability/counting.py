"""Counts how many seconds of a period a site was up, down or unknown; they add up to the period exactly. Pure.

Each second gets one kind, decided in this order: `inactive` outside the site's time in service, `maintenance` inside a
planned window, what its device claims of it, else the state. All figures derive from the same slices, so parts always
add up to the whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.availability.claim_overlay import CLAIMED_KINDS, claimed_state
from app.availability.intervals import IntervalMap, align
from app.availability.policy import ContractPolicy, policies_in_force
from app.availability.tally import BAD_STATES, DowntimeRun, Slice, Tally
from app.incidents.outages import cut_downtimes
from app.judging.judge import BAD
from app.registry.configuration import ConfigurationInForce
from app.registry.models import State


@dataclass(frozen=True, slots=True)
class CountableHistory:
    """All that counting a site needs.

    `states` hold downtimes in their whole length, also where they reach beyond the period that is counted, and
    `last_losses` their last lost readings, each by the start of its state; without one a state is proven to its end.
    """

    states: IntervalMap[State]
    configurations: IntervalMap[ConfigurationInForce]
    maintenance: IntervalMap[bool]
    causes: IntervalMap[str]
    policies: IntervalMap[ContractPolicy]
    last_losses: Mapping[int, int] = field(default_factory=dict)
    claims: IntervalMap[bool] = field(default_factory=list)  # where claims decide what the states count as
    site_id: int = 0


def tally_parts(history: CountableHistory, parts: Sequence[tuple[int, int]]) -> list[Tally]:
    """Return a tally for each part `(start, end)`; parts follow each other in order."""
    tallies = [Tally() for _ in parts]
    for slice_ in cut_slices(history, parts):
        tallies[slice_.part].add(slice_)
    return tallies


def cut_slices(history: CountableHistory, parts: Sequence[tuple[int, int]]) -> list[Slice]:
    """Cut the parts wherever anything changes.

    Maintenance inside an outage takes seconds from it but does not split it. A contract counts a whole downtime, also
    what was unreachable of it, if it is long enough: measured from its first lost reading to its last, without
    maintenance, time outside service hours, excused seconds and what nobody saw. That is the least it can have been.
    Where claims alone make it too short, nobody knows whether it counts.
    """
    low, high = parts[0][0], parts[-1][1]
    downtimes = [(a, b, run) for a, b, run in _downtimes(history) if a < high and b > low]
    if history.policies and downtimes:  # whether one counts depends on its whole length
        low, high = min(low, downtimes[0][0]), max(high, downtimes[-1][1])
    maps: list[IntervalMap[Any]] = [
        [(start, end, number) for number, (start, end) in enumerate(parts)],
        history.states,
        history.configurations,
        history.maintenance,
        history.claims,
        history.causes,
        policies_in_force(history.policies, low, high),
        downtimes,
    ]
    slices: list[Slice] = []
    for start, end, (part, state, configuration, maintained, claimed, cause, contract, run) in align(maps, low, high):
        counted_as = claimed_state(state) if claimed and state else state
        kind = _kind(counted_as, configuration, maintained)
        is_claimed = counted_as is not state and kind in CLAIMED_KINDS
        is_contested = is_claimed and state in BAD
        counts = (
            (kind in BAD_STATES or is_contested)
            and contract is not None
            and contract.in_service_hours
            and not contract.policy.excuses(str(state), cause)
        )
        if run is not None and counts:
            proven_s = max(0, min(end, run.proven_until) - start)
            run.contested_s += proven_s if is_contested else 0
            run.proven_s += 0 if is_contested else proven_s
        if part is not None:
            outage = None if run is None or start < run.outage_at else (history.site_id, run.outage_at)
            counted_run = run if counts and not is_contested else None
            slices.append(
                Slice(part, end - start, kind, configuration, outage, cause, contract, counted_run, is_claimed)
            )
    return slices


def _downtimes(history: CountableHistory) -> Iterator[tuple[int, int, DowntimeRun]]:
    for downtime in cut_downtimes(history.states, _service(history.configurations)):
        start, end, _ = history.states[next(n for n in reversed(downtime.states) if history.states[n][2] in BAD)]
        outage_at = downtime.ended_at if downtime.outage_at is None else downtime.outage_at
        run = DowntimeRun(outage_at, proven_until=history.last_losses.get(start, end))
        yield downtime.started_at, downtime.ended_at, run


def _service(configurations: Iterable[tuple[int, int, ConfigurationInForce]]) -> list[tuple[int, int]]:
    """Return the periods in service; a change of configuration within one does not interrupt it."""
    periods: list[tuple[int, int]] = []
    for start, end, configuration in configurations:
        if configuration.active:
            start = periods.pop()[0] if periods and periods[-1][1] == start else start
            periods.append((start, end))
    return periods


def _kind(state: State | None, configuration: ConfigurationInForce | None, maintained: bool | None) -> str:
    if configuration is None or not configuration.active:
        return "inactive"
    if maintained:
        return "maintenance"
    return "unknown" if state is None else state.value
