"""Contracts counted second by second, as one would by hand in a table of them, agree with the counting of intervals."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.availability.contract_tally import ContractTally
from app.availability.counting import CountableHistory, tally_parts
from app.availability.intervals import IntervalMap
from app.availability.policy import DAY_S, WITA_S, ContractPolicy, TermsKey
from app.core.clock import to_slot
from app.registry.models import State
from tests.support.random_histories import START, contracted_histories

BASE = to_slot(START)
BAD = {State.DOWN, State.UNREACHABLE}


def table(intervals: IntervalMap[Any]) -> dict[int, Any]:
    return {second: value for a, b, value in intervals for second in range(max(a, BASE), min(b, BASE + 17_000))}


def in_hours(policy: ContractPolicy, second: int) -> bool:
    opens, closes = policy.service_from, policy.service_to
    if opens is None or closes is None or opens == closes:
        return True
    clock = (second + WITA_S) % DAY_S
    low, high = (hour.hour * 3600 + hour.minute * 60 for hour in (opens, closes))
    return low <= clock < high if low < high else clock >= low or clock < high


class Seconds:
    """What each second of a history is, by itself."""

    def __init__(self, history: CountableHistory) -> None:
        self.states, self.maintenance = table(history.states), table(history.maintenance)
        self.claims, self.causes = table(history.claims), table(history.causes)
        self.served = {second for second, value in table(history.configurations).items() if value.active}
        self.runs = self._runs()

    def _runs(self) -> dict[int, int]:
        """Return the first second of the downtime or the degraded run that a second lies in."""
        runs: dict[int, int] = {}
        down = degraded = None
        for second in sorted(self.states):
            state, served = self.states[second], second in self.served
            if not served or state in {State.UP, State.DEGRADED}:
                down = None
            elif down is None and state in BAD:
                down = second
            degraded = (degraded or second) if served and state is State.DEGRADED else None
            if run := down or degraded:
                runs[second] = run
        return runs

    def is_claimed(self, second: int) -> bool:
        return second in self.claims and self.states.get(second) in {*BAD, State.UNKNOWN}

    def kind(self, second: int, policy: ContractPolicy) -> str:
        """Return what a second is to the terms before it is known how long its run is."""
        state, cause = self.states.get(second), self.causes.get(second)
        if second not in self.served or not in_hours(policy, second):
            return "outside"
        if second in self.maintenance:
            return "maintenance"
        if state is None or state is State.UNKNOWN:
            return "good" if self.is_claimed(second) else "unknown"
        if state is State.UP or (state is State.DEGRADED and not policy.degraded_counts):
            return "good"
        is_excused = state is State.UNREACHABLE and policy.excuses_parent
        if self.is_claimed(second):
            return "unknown" if is_excused or cause in policy.excluded_causes else "contested"
        return str(cause) if cause in policy.excluded_causes else "parent" if is_excused else "down"

    def count(self, policies: dict[int, ContractPolicy], start: int, end: int) -> dict[TermsKey, ContractTally]:
        """Return what the contracts of one link count from start to end."""
        kinds = {second: self.kind(second, policy) for second, policy in policies.items()}
        down = Counter(self.runs[second] for second, kind in kinds.items() if kind == "down")
        contested = Counter(self.runs[second] for second, kind in kinds.items() if kind == "contested")
        tallies: dict[TermsKey, ContractTally] = {}
        for second, policy in policies.items():
            if not start <= second < end:
                continue
            kind = kinds[second]
            if kind == "contested":
                kind = "unknown"
            elif kind == "down":
                run = self.runs[second]
                kind = "unknown" if down[run] + contested[run] >= policy.min_outage_s else "short"
                kind = "counted_down" if down[run] >= policy.min_outage_s else kind
            tally = tallies.setdefault(policy.terms, ContractTally())
            tally.add(1, kind, claimed=self.is_claimed(second) and kind != "maintenance")
        return tallies


@settings(max_examples=60, deadline=None)
@given(contracted_histories(), st.integers(0, 2000), st.integers(1, 3000))
def test_counting_by_the_second_gives_the_same(history: CountableHistory, begin: int, length: int) -> None:
    start, seconds = BASE + begin, Seconds(history)
    by_the_second: dict[TermsKey, ContractTally] = {}
    for policies in history.policies:
        by_the_second |= seconds.count(table(policies), start, start + length)
    (tally,) = tally_parts(history, [(start, start + length)])
    assert tally.contracts == by_the_second
