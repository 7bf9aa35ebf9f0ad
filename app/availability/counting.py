"""Counts how many seconds of a period a site was up, down or unknown; they add up to the period exactly. Pure.

Each second gets one kind, decided in this order: `inactive` outside the site's time in service, `maintenance` inside a
planned window, what its device claims of it, else the state. Where a site that is present only at times is not open, a
second that nobody knows anything of is `inactive`, too, but for contracts, which count it as any other. What a contract
counts it as follows from that, in the order of docs/adr/0025. All figures derive from the same slices, so parts always
add up to the whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.availability.claim_overlay import CLAIMED_KINDS, claimed_state
from app.availability.contract_tally import GOOD, MAINTENANCE, OUTSIDE, UNKNOWN
from app.availability.intervals import IntervalMap, align
from app.availability.open_hours import closed_hours
from app.availability.policy import PolicyInForce, SitePolicies, policies_in_force
from app.availability.slices import ContractSlice, Run, Slice
from app.availability.tally import Tally
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
    policies: SitePolicies
    last_losses: Mapping[int, int] = field(default_factory=dict)
    claims: IntervalMap[bool] = field(default_factory=list)  # where claims decide what the states count as
    site_id: int = 0

    @property
    def service(self) -> list[tuple[int, int]]:
        """Return the periods in service; a change of configuration within one does not interrupt it."""
        periods: list[tuple[int, int]] = []
        for start, end, configuration in self.configurations:
            if configuration.active:
                start = periods.pop()[0] if periods and periods[-1][1] == start else start
                periods.append((start, end))
        return periods

    @property
    def contract_ids(self) -> set[int]:
        return {policy.terms.contract_id for of_role in self.policies for _, _, policy in of_role}


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
    maintenance, time outside service hours, excluded seconds and what nobody saw. That is the least it can have been.
    """
    low, high = parts[0][0], parts[-1][1]
    runs = [(a, b, run) for a, b, run in _runs(history) if a < high and b > low]
    if history.policies and runs:  # whether one counts depends on its whole length
        low, high = min(low, runs[0][0]), max(high, runs[-1][1])
    maps: list[IntervalMap[Any]] = [
        [(start, end, number) for number, (start, end) in enumerate(parts)],
        history.states,
        history.configurations,
        history.maintenance,
        history.claims,
        history.causes,
        runs,
        closed_hours(history.configurations, low, high),
        *(policies_in_force(policies, low, high) for policies in history.policies),
    ]
    slices: list[Slice] = []
    for start, end, values in align(maps, low, high):
        part, state, configuration, maintained, claimed, cause, run, closed, *in_force = values
        counted_as = claimed_state(state) if claimed and state else state
        kind = _kind(counted_as, configuration, maintained)
        is_claimed = counted_as is not state and kind in CLAIMED_KINDS
        contested = state.value if is_claimed and state in BAD else None
        contracts = [
            _contract_slice(policy, kind, contested, cause, run, start, end)
            for policy in in_force
            if policy is not None
        ]
        if part is not None:
            kind = "inactive" if closed and kind == "unknown" and contested is None else kind
            outage = None if run is None or start < run.outage_at else (history.site_id, run.outage_at)
            slices.append(Slice(part, end - start, kind, configuration, outage, cause, run, is_claimed, contracts))
    return slices


def _contract_slice(
    in_force: PolicyInForce, kind: str, contested: str | None, cause: str | None, run: Run | None, start: int, end: int
) -> ContractSlice:
    """Return what the contract counts a slice as; add to its run what is to be compared with the least duration."""
    policy = in_force.policy
    if kind == "inactive" or not in_force.in_service_hours:
        return ContractSlice(policy, OUTSIDE)
    if kind == "maintenance":
        return ContractSlice(policy, MAINTENANCE)
    if kind == "up" or (kind == "degraded" and not policy.degraded_counts):
        return ContractSlice(policy, GOOD)
    if run is None or (kind == "unknown" and contested is None):
        return ContractSlice(policy, UNKNOWN)
    exclusion = policy.exclusion(contested or kind, cause)
    length, proven_s = run.length(policy.terms.link_role), max(0, min(end, run.proven_until) - start)
    if exclusion is None:
        length.proven_s += 0 if contested else proven_s
        length.contested_s += proven_s if contested else 0
    return ContractSlice(policy, UNKNOWN if contested else exclusion, length)


def _runs(history: CountableHistory) -> list[tuple[int, int, Run]]:
    """Return the downtimes, and where terms count it degraded time, in order: they never overlap."""
    service = history.service
    runs: list[tuple[int, int, Run]] = []
    for downtime in cut_downtimes(history.states, service):
        start, end, _ = history.states[next(n for n in reversed(downtime.states) if history.states[n][2] in BAD)]
        outage_at = downtime.ended_at if downtime.outage_at is None else downtime.outage_at
        last_loss = history.last_losses.get(start, end)
        run = Run(downtime.started_at, downtime.ended_at, outage_at, last_loss, downtime.answered)
        runs.append((run.started_at, run.ended_at, run))
    if any(policy.degraded_counts for policies in history.policies for _, _, policy in policies):
        last = history.states[-1][1] if history.states else 0
        degraded = _degraded(history.states, service)
        runs += [(a, b, Run(a, b, b, b, answered=b < last, is_degraded=True)) for a, b in degraded]
        runs.sort(key=lambda interval: interval[0])
    return runs


def _degraded(states: IntervalMap[State], service: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the periods in which the site was degraded without a break, each within one period of service."""
    merged: list[tuple[int, int]] = []
    for start, end, state in states:
        if state is State.DEGRADED:
            start = merged.pop()[0] if merged and merged[-1][1] == start else start
            merged.append((start, end))
    for low, high in service:
        yield from ((max(a, low), min(b, high)) for a, b in merged if a < high and b > low)


def _kind(state: State | None, configuration: ConfigurationInForce | None, maintained: bool | None) -> str:
    if configuration is None or not configuration.active:
        return "inactive"
    if maintained:
        return "maintenance"
    return "unknown" if state is None else state.value
