"""What several vantages see, combined: against an oracle that asks all looks anew in each slot."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import from_slot, to_slot
from app.judging.combining import MOST_VALID_S, VantageRule, combined, looks_back_s
from app.judging.dated_profiles import ALWAYS, DatedThresholds
from app.judging.degraded import DegradedThresholds
from app.judging.fold import JudgeConfiguration, JudgeContext, VantageHost, fold, fold_order
from app.judging.judge import JudgeState, Observation
from app.profiles import Technology
from app.registry.models import State, UnknownReason
from probes.contract import VANTAGES, Outcome, Reading

START = datetime(2026, 11, 24, tzinfo=UTC)
BASE = to_slot(START)
OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT
A, B, C = VANTAGES[:3]
PROVIDER, OTHER = 7, 8


def look(source: str, second: int, outcome: Outcome = OK, *, valid_s: int = 60, rtt_us: int = 1000) -> Reading:
    return Reading(1, BASE + second, outcome, 3, (rtt_us,) * 3 if outcome is OK else (), valid_s, None, source)


def observe(reading: Reading) -> Observation:
    thresholds = DegradedThresholds(15, 150_000)
    slot, received = from_slot(reading.slot), len(reading.rtt_us)
    return Observation(slot, reading.outcome, reading.valid_s, 3, received, max(reading.rtt_us, default=0), thresholds)


class Seen(NamedTuple):
    second: int
    outcome: Outcome
    lost_from: tuple[str, ...] = ()
    partial_since: int | None = None
    rtt_us: int = 0


def combine(readings: Sequence[Reading], rule: VantageRule) -> list[Seen]:
    found = []
    for _, seen in combined(sorted(readings, key=fold_order), observe, lambda _: rule):
        assert seen is not None
        since = None if seen.partial_from is None else to_slot(seen.partial_from) - BASE
        rtt_us = seen.rtt_us if seen.outcome is OK else 0
        found.append(Seen(to_slot(seen.slot) - BASE, seen.outcome, seen.lost_from, since, rtt_us))
    return found


def oracle(readings: Sequence[Reading], rule: VantageRule) -> list[Seen]:
    return [_at(slot, readings, rule) for slot in sorted({reading.slot for reading in readings})]


def _at(slot: int, readings: Sequence[Reading], rule: VantageRule) -> Seen:
    second, now = slot - BASE, [reading for reading in readings if reading.slot == slot]
    losses = _losses(slot, [reading for reading in readings if reading.slot <= slot], rule)
    before = _losses(slot, [reading for reading in readings if reading.slot < slot], rule)
    voters = _voters(losses, rule)
    answering = [r for source in voters for r in now if r.source == source and r.outcome is not FAULT]
    reached, was_reached = _quorum_losses(losses, rule), _quorum_losses(before, rule)
    if not answering or (reached == 1 and was_reached):
        return Seen(second, FAULT)
    if reached:
        return Seen(second, TIMEOUT)
    losing = tuple(source for source in voters if losses[source])
    since = [losses[source][1] - BASE for source in voters if len(losses[source]) > 1]
    shown = next(source for source in voters if not losses[source])
    rtt_us = [max(reading.rtt_us) for reading in now if reading.source == shown and reading.outcome is OK]
    return Seen(second, OK, losing, min(since, default=None), rtt_us[0] if rtt_us else 0)


def _losses(slot: int, readings: Sequence[Reading], rule: VantageRule) -> dict[str, list[int]]:
    """By each vantage that sees, the slots of its last losses in a row, the newest first, two at most."""
    found = {}
    for source in rule.sources:
        looks = sorted((r for r in readings if r.source == source), key=lambda r: -r.slot)
        if not looks or looks[0].outcome is FAULT:
            continue
        if looks[0].slot != slot and slot - looks[0].slot >= min(looks[0].valid_s, rule.interval_s, 900):
            continue
        clear, row = [r for r in looks if r.outcome is not FAULT], list[Reading]()
        for reading in clear:
            if reading.outcome is OK or len(row) == 2:
                break
            if row and row[-1].slot - reading.slot > int(2.5 * min(row[-1].valid_s, rule.interval_s, 900)):
                break
            row.append(reading)
        found[source] = [reading.slot for reading in row]
    return found


def _voters(losses: dict[str, list[int]], rule: VantageRule) -> list[str]:
    return [source for source in losses if source not in rule.hosted] or list(losses)


def _quorum_losses(losses: dict[str, list[int]], rule: VantageRule) -> int:
    """How many looks in a row are lost by as many voters as it takes."""
    voters = _voters(losses, rule)
    needed = min(rule.lost_from or len(voters), len(voters))
    if not voters:
        return 0
    return max(n for n in (0, 1, 2) if n == 0 or sum(len(losses[source]) >= n for source in voters) >= needed)


rules = st.builds(
    VantageRule,
    st.sampled_from([(A, B), (B, A), (A, B, C), (C, A, B)]),
    st.integers(0, 3),
    st.sampled_from([frozenset(), frozenset({A}), frozenset({B, C}), frozenset({A, B, C})]),
    st.sampled_from([20, 60, 900]),
)
seconds = st.integers(0, 30).map(lambda n: 10 * n) | st.integers(0, 400)
looks_of_some = st.lists(
    st.tuples(st.sampled_from([A, B, C]), seconds, st.sampled_from([OK, OK, TIMEOUT, TIMEOUT, FAULT])),
    max_size=40,
    unique_by=lambda item: item[:2],
)


@given(looks_of_some, rules, st.sampled_from([30, 60]))
def test_every_slot_comes_out_as_all_looks_until_then_have_it(
    looks: list[tuple[str, int, Outcome]], rule: VantageRule, valid_s: int
) -> None:
    readings = [
        look(source, second, outcome, valid_s=valid_s, rtt_us=1000 + second) for source, second, outcome in looks
    ]
    readings = [reading for reading in readings if reading.source in rule.sources]
    assert combine(readings, rule) == oracle(readings, rule)


@given(looks_of_some, rules, st.integers(0, 300))
def test_no_look_bears_on_a_slot_further_ahead_than_is_read_back(
    looks: list[tuple[str, int, Outcome]], rule: VantageRule, shift: int
) -> None:
    readings = [look(*item, valid_s=2000) for item in looks if item[0] in rule.sources]
    moved = [replace(reading, slot=reading.slot + looks_back_s(MOST_VALID_S) + 401 + shift) for reading in readings]
    alone, both = combine(moved, rule), combine([*readings, *moved], rule)
    assert both == combine(readings, rule) + alone


def states(
    readings: Sequence[Reading], *vantages: int, lost_from: int = 0, hosts: Sequence[VantageHost] = ()
) -> list[tuple[int, str]]:
    limits = DegradedThresholds(15, 150_000, lost_from)
    thresholds = DatedThresholds({technology: [(ALWAYS, limits)] for technology in Technology})
    at = JudgeConfiguration(START, START, Technology.FIBER, None, provider_id=PROVIDER, vantages=vantages)
    first = JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, START, 60, START)
    folded = fold(first, sorted(readings, key=fold_order), JudgeContext([at], thresholds, {}, {}, hosts=hosts))
    return [(to_slot(change.at) - BASE, change.state.value) for change in folded.changes]


def minutes(source: str, *outcomes: Outcome, start: int = 0, every: int = 60) -> list[Reading]:
    return [look(source, start + n * every, outcome) for n, outcome in enumerate(outcomes)]


def test_a_site_is_down_when_all_that_can_see_lose_it() -> None:
    both = minutes(A, OK, TIMEOUT, TIMEOUT, OK) + minutes(B, OK, TIMEOUT, TIMEOUT, OK)
    assert states(both, 0, 1) == [(0, "up"), (60, "down"), (180, "up")]


def test_lost_by_one_alone_it_is_degraded_from_its_first_loss_until_its_first_answer() -> None:
    readings = minutes(A, OK, TIMEOUT, TIMEOUT, TIMEOUT, OK) + minutes(B, OK, OK, OK, OK, OK)
    assert states(readings, 0, 1) == [(0, "up"), (60, "degraded"), (240, "up")]


def test_a_look_amid_which_its_link_came_back_keeps_it_degraded_no_longer() -> None:
    amid = replace(look(A, 240), rtt_us=(1000,))
    readings = [*minutes(A, OK, TIMEOUT, TIMEOUT, TIMEOUT), amid, look(A, 300), *minutes(B, *[OK] * 6)]
    assert states(readings, 0, 1) == [(0, "up"), (60, "degraded"), (300, "up")]


def test_packets_that_are_lost_afterwards_count_as_ever() -> None:
    lossy = [replace(look(A, 60 * n), rtt_us=(1000,) * 2) for n in range(4, 16)]
    readings = [*minutes(A, OK, TIMEOUT, TIMEOUT, TIMEOUT), *lossy, *minutes(B, *[OK] * 16)]
    assert states(readings, 0, 1) == [(0, "up"), (60, "degraded")]


def test_a_single_lost_look_of_one_vantage_is_nothing_however_often_the_others_look() -> None:
    readings = minutes(A, OK, TIMEOUT, OK) + minutes(B, *[OK] * 13, every=10)
    assert states(readings, 0, 1) == [(0, "up")]


def test_single_losses_of_each_confirm_no_outage_together() -> None:
    readings = [*minutes(A, OK, TIMEOUT), look(A, 70, TIMEOUT), look(A, 80), *minutes(B, OK, TIMEOUT, OK)]
    assert states(readings, 0, 1) == [(0, "up")]


def test_what_cannot_see_does_not_count() -> None:
    readings = minutes(A, OK, TIMEOUT, TIMEOUT) + minutes(B, OK, FAULT, FAULT)
    assert states(readings, 0, 1) == [(0, "up"), (60, "down")]
    nobody = minutes(A, OK, FAULT, FAULT, FAULT, FAULT) + minutes(B, OK, FAULT, FAULT, FAULT, FAULT)
    assert states(nobody, 0, 1) == [(0, "up"), (60, "unknown")]


@pytest.mark.parametrize(("lost_from", "state"), [(0, "degraded"), (1, "down"), (2, "down"), (3, "degraded")])
def test_how_many_must_lose_it_is_the_profiles(lost_from: int, state: str) -> None:
    readings = minutes(A, OK, TIMEOUT, TIMEOUT) + minutes(B, OK, TIMEOUT, TIMEOUT) + minutes(C, OK, OK, OK)
    assert states(readings, 0, 1, 2, lost_from=lost_from) == [(0, "up"), (60, state)]


def test_a_vantage_at_the_sites_own_provider_hides_no_outage() -> None:
    readings = minutes(A, OK, TIMEOUT, TIMEOUT, OK) + minutes(B, OK, OK, OK, OK)
    for provider, expected in ((PROVIDER, "down"), (OTHER, "degraded"), (None, "degraded")):
        assert states(readings, 0, 1, hosts=[VantageHost(1, START, provider)])[1] == (60, expected)
    later = [VantageHost(1, START + timedelta(seconds=150), PROVIDER)]
    assert states(readings, 0, 1, hosts=later)[1] == (60, "degraded"), "hosting is dated"


def test_a_vantage_at_the_sites_own_provider_that_alone_loses_it_is_shown_and_counts_for_nothing() -> None:
    readings = minutes(A, OK, OK, OK, OK) + minutes(B, OK, TIMEOUT, TIMEOUT, OK)
    assert states(readings, 0, 1, hosts=[VantageHost(1, START, PROVIDER)]) == [(0, "up")]


def test_a_vantage_at_the_sites_own_provider_counts_while_no_other_one_can_see() -> None:
    readings = minutes(A, OK, FAULT, FAULT, FAULT) + minutes(B, OK, OK, TIMEOUT, TIMEOUT)
    assert states(readings, 0, 1, hosts=[VantageHost(1, START, PROVIDER)]) == [(0, "up"), (120, "down")]


def test_slow_is_judged_by_the_primary_alone() -> None:
    slow = [look(B, 60 * n, rtt_us=900_000) for n in range(6)]
    assert states(minutes(A, *[OK] * 6) + slow, 0, 1) == [(0, "up")]
    assert states(minutes(A, *[OK] * 6) + slow, 1, 0) == [(0, "up"), (60, "degraded")]


def test_what_is_read_from_elsewhere_says_nothing() -> None:
    readings = minutes(A, OK, TIMEOUT, TIMEOUT) + minutes(B, OK, TIMEOUT, TIMEOUT) + minutes(C, OK, OK, OK)
    assert states(readings, 0, 1) == [(0, "up"), (60, "down")]
