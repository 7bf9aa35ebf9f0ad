import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.availability.contract_tally import Stretch, verdict
from app.availability.counting import CountableHistory, tally_parts
from app.availability.intervals import TimeRange, align, fill_gaps
from app.availability.percent import percent
from app.availability.policy import ContractPolicy, DatedContract, PolicyInForce, policies_in_force
from app.availability.tally import KINDS, Tally
from app.core.clock import midnight, to_slot
from app.registry.configuration import ConfigurationInForce
from app.registry.models import State
from tests.support.interval_maps import overlay
from tests.support.random_histories import START, histories, spans

END = START + timedelta(seconds=1000)
WHOLE = [(START, END)]

States = list[tuple[datetime, datetime, State]]
DatedPolicy = tuple[datetime, datetime, ContractPolicy]


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def states(*lengths: tuple[State, int]) -> States:
    """States that follow each other, each so many seconds long."""
    result, second = [], 0
    for state, length in lengths:
        result.append((at(second), at(second + length), state))
        second += length
    return result


def policy(low: int = 0, high: int = 1000, **changes: Any) -> DatedPolicy:
    return at(low), at(high), ContractPolicy(Decimal(97), **changes)


def contract_verdict(tally: Tally, target_pct: float) -> str | None:
    return verdict([Stretch(Decimal(target_pct), *tally.contracts.values())])


def unknown_s(tally: Tally) -> int:
    (contract,) = tally.contracts.values()
    return contract.unknown_s


def count(
    states: States,
    in_service: Sequence[TimeRange],
    start: datetime,
    end: datetime,
    *,
    maintenance: Sequence[TimeRange] = (),
    claims: Sequence[TimeRange] = (),
    causes: Sequence[tuple[datetime, datetime, str]] = (),
    policies: Sequence[DatedPolicy] = (),
    last_losses: Mapping[int, int] = MappingProxyType({}),
) -> Tally:
    """Count start to end as one part; all but the states may overlap and come in any order."""
    history = CountableHistory(
        states=[(to_slot(a), to_slot(b), state) for a, b, state in states],
        configurations=overlay((to_slot(a), to_slot(b), ConfigurationInForce(active=True)) for a, b in in_service),
        maintenance=overlay((to_slot(a), to_slot(b), True) for a, b in maintenance),
        claims=overlay((to_slot(a), to_slot(b), True) for a, b in claims),
        causes=overlay((to_slot(a), to_slot(b), cause) for a, b, cause in causes),
        policies=[overlay((to_slot(a), to_slot(b), policy) for a, b, policy in policies)] if policies else [],
        last_losses=last_losses,
    )
    (tally,) = tally_parts(history, [(to_slot(start), to_slot(end))])
    return tally


def test_every_second_is_accounted_for() -> None:
    counted = count(states((State.UP, 500), (State.DOWN, 100), (State.UNKNOWN, 400)), [(at(100), at(900))], START, END)
    assert counted.seconds == {
        "up": 400,
        "degraded": 0,
        "down": 100,
        "unreachable": 0,
        "unknown": 300,
        "maintenance": 0,
        "inactive": 200,
    }
    assert counted.percentages == {"uptime_pct": 80.0, "coverage_pct": 62.5, "worst_pct": 50.0, "best_pct": 87.5}


def test_a_percentage_of_nothing_is_null() -> None:
    counted = count(states((State.UP, 1000)), [], START, END)
    assert set(counted.percentages.values()) == {None}
    assert counted.seconds["inactive"] == 1000


def test_percentages_are_rounded_down() -> None:
    assert percent(999_999, 1_000_000) == 99.999
    assert percent(1_999_999, 2_000_000) == 99.999
    assert percent(2, 3) == 66.666


def test_out_of_service_comes_before_maintenance_and_maintenance_before_any_state() -> None:
    counted = count(
        states((State.DOWN, 1000)),
        [(at(0), at(600))],
        START,
        END,
        maintenance=[(at(500), at(800)), (at(450), at(550)), (at(550), at(520))],
    )
    nonzero = {name: seconds for name, seconds in counted.seconds.items() if seconds}
    assert nonzero == {"down": 450, "maintenance": 150, "inactive": 400}


def test_maintenance_takes_seconds_from_an_outage_and_does_not_split_it() -> None:
    counted = count(states((State.DOWN, 1000)), WHOLE, START, END, maintenance=[(at(200), at(300))])
    assert (counted.outages, counted.longest_outage_s) == (1, 900)


def test_what_nobody_saw_does_not_split_an_outage_and_is_no_second_of_it() -> None:
    happened = states((State.DOWN, 100), (State.DOWN, 100), (State.UNKNOWN, 1), (State.DOWN, 50), (State.UP, 749))
    counted = count(happened, WHOLE, START, END)
    assert (counted.outages, counted.longest_outage_s) == (1, 250)


def test_an_answer_splits_an_outage() -> None:
    happened = states((State.DOWN, 100), (State.DEGRADED, 1), (State.DOWN, 50), (State.UP, 849))
    counted = count(happened, WHOLE, START, END)
    assert (counted.outages, counted.longest_outage_s) == (2, 100)


def test_the_end_of_service_splits_an_outage_and_a_new_configuration_does_not() -> None:
    assert count(states((State.DOWN, 1000)), [(at(0), at(500)), (at(530), at(1000))], START, END).outages == 2
    moved = overlay(
        [
            (to_slot(at(0)), to_slot(at(500)), ConfigurationInForce(active=True)),
            (to_slot(at(500)), to_slot(END), ConfigurationInForce(active=True, provider_id=2)),
        ]
    )
    history = CountableHistory([(to_slot(START), to_slot(END), State.DOWN)], moved, [], [], [])
    assert tally_parts(history, [(to_slot(START), to_slot(END))])[0].outages == 1


def test_an_outage_is_the_same_one_in_every_period_that_it_reaches_into() -> None:
    happened = states((State.UP, 100), (State.DOWN, 100), (State.UNKNOWN, 300), (State.DOWN, 100), (State.UP, 400))
    first, second = (count(happened, WHOLE, at(a), at(b)) for a, b in ((0, 300), (300, 1000)))
    assert (first.outages, second.outages) == (1, 1)
    first.merge(second)
    assert (first.outages, first.longest_outage_s) == (1, 200)


def test_an_outage_under_maintenance_alone_is_none() -> None:
    happened = states((State.UP, 100), (State.DOWN, 100), (State.UP, 800))
    counted = count(happened, WHOLE, START, END, maintenance=[(at(50), at(250))])
    assert (counted.outages, counted.longest_outage_s, counted.percentages["uptime_pct"]) == (0, 0, 100.0)


def test_the_longest_outage_is_measured_inside_the_period() -> None:
    counted = count(states((State.DOWN, 1000)), WHOLE, at(900), END)
    assert (counted.outages, counted.longest_outage_s) == (1, 100)


def test_where_two_causes_overlap_the_later_one_holds() -> None:
    counted = count(
        states((State.DOWN, 600), (State.UNREACHABLE, 400)),
        WHOLE,
        START,
        END,
        causes=[(at(0), at(300), "power"), (at(200), at(400), "link"), (at(700), at(900), "power")],
    )
    assert counted.down_by_cause == {"power": 200, "link": 200, "unclassified": 200}


def test_an_outage_counts_for_a_contract_by_its_whole_length_also_beyond_the_period() -> None:
    happened = states((State.UP, 100), (State.DOWN, 300), (State.UP, 100), (State.DOWN, 299), (State.UP, 201))
    policies = [policy(min_outage_s=300)]
    assert count(happened, WHOLE, START, END, policies=policies).countable_down_s == 300
    assert count(happened, WHOLE, at(350), END, policies=policies).countable_down_s == 50


def test_the_minimum_is_tested_after_maintenance_and_excluded_causes_are_subtracted() -> None:
    happened = states((State.DOWN, 400), (State.UP, 600))
    terms = [policy(min_outage_s=300, excluded_causes={"power"})]
    works = [(at(0), at(100))]
    assert count(happened, WHOLE, START, END, policies=terms, maintenance=works).countable_down_s == 300
    power = [(at(399), at(500), "power")]
    tally = count(happened, WHOLE, START, END, policies=terms, maintenance=works, causes=power)
    assert tally.countable_down_s == 0


@pytest.mark.parametrize(("last_loss", "expected"), [(399, 0), (400, 310)])
def test_the_minimum_is_compared_with_what_is_proven_by_losses(last_loss: int, expected: int) -> None:
    """First lost at 100, answered at 410: it was down for `last_loss` - 100 at least, and counts in full or not."""
    happened = states((State.UP, 100), (State.DOWN, 310), (State.UP, 590))
    lost = {to_slot(at(100)): to_slot(at(last_loss))}
    counted = count(happened, WHOLE, START, END, policies=[policy(min_outage_s=300)], last_losses=lost)
    assert counted.countable_down_s == expected


def test_what_nobody_saw_is_no_proof_of_a_least_duration() -> None:
    happened = states((State.DOWN, 100), (State.UNKNOWN, 200), (State.DOWN, 110), (State.UP, 590))
    lost = {to_slot(at(300)): to_slot(at(400))}
    for least, expected in ((200, 210), (201, 0)):
        terms = [policy(min_outage_s=least)]
        counted = count(happened, WHOLE, START, END, policies=terms, last_losses=lost)
        assert counted.countable_down_s == expected


@pytest.mark.parametrize(("excuses", "expected"), [(False, 500), (True, 200)])
def test_a_dead_parent_counts_unless_the_contract_excuses_it(excuses: bool, expected: int) -> None:
    happened = states((State.DOWN, 200), (State.UNREACHABLE, 300), (State.UP, 500))
    policies = [policy(excuses_parent=excuses)]
    assert count(happened, WHOLE, START, END, policies=policies).countable_down_s == expected


def test_without_a_contract_nothing_is_countable() -> None:
    counted = count(states((State.DOWN, 1000)), WHOLE, START, END)
    assert (counted.contracted, counted.contracts) == (False, {})


@pytest.mark.parametrize(
    ("down", "unknown", "expected"),
    [
        (0, 0, "met"),
        (30, 0, "met"),
        (31, 0, "missed"),
        (0, 30, "met"),
        (0, 31, "undetermined"),
        (30, 1, "undetermined"),
        (31, 900, "missed"),
    ],
)
def test_a_verdict_is_only_given_when_unmeasured_time_cannot_change_it(down: int, unknown: int, expected: str) -> None:
    happened = states(*((s, n) for s, n in ((State.DOWN, down), (State.UNKNOWN, unknown)) if n))
    happened += [(at(down + unknown), END, State.UP)]
    counted = count(happened, WHOLE, START, END, policies=[policy()])
    assert contract_verdict(counted, 97) == expected


def test_service_hours_may_cross_midnight() -> None:
    night = ContractPolicy(Decimal(97), service_from=time(22), service_to=time(6))
    low = to_slot(midnight(date(2026, 11, 24)))
    policies_of_day = policies_in_force([(low, low + 86_400, night)], low, low + 86_400)
    hours = [
        (round((a - low) / 3600), round((b - low) / 3600), contract.in_service_hours)
        for a, b, contract in policies_of_day
    ]
    assert hours == [(0, 6, True), (6, 22, False), (22, 24, True)]


def test_outside_service_hours_nothing_counts_for_the_contract() -> None:
    opens, closes = (
        midnight(date(2026, 11, 24)) + timedelta(hours=8),
        midnight(date(2026, 11, 24)) + timedelta(hours=16),
    )
    start, end = midnight(date(2026, 11, 24)), midnight(date(2026, 11, 25))
    policy = ContractPolicy(Decimal(97), min_outage_s=7200, service_from=time(8), service_to=time(16))
    happened = [(start, opens + timedelta(hours=1), State.DOWN), (opens + timedelta(hours=1), end, State.UP)]
    counted = count(happened, [(start, end)], start, end, policies=[(start, end, policy)])
    assert (counted.contract_s, counted.countable_down_s) == (round((closes - opens).total_seconds()), 0)


def test_terms_hold_from_their_wita_day_until_the_next_while_the_contract_is_valid() -> None:
    first, second = ContractPolicy(Decimal(97)), ContractPolicy(Decimal(99))
    contract = DatedContract(
        date(2026, 11, 2), date(2026, 11, 9), [(date(2026, 11, 1), first), (date(2026, 11, 5), second)]
    )
    days = [to_slot(midnight(date(2026, 11, day))) for day in (2, 5, 9)]
    assert contract.policies == [(days[0], days[1], first), (days[1], days[2], second)]


def test_a_claim_makes_unknown_of_an_outage_and_up_of_what_is_unknown() -> None:
    happened = states((State.UP, 100), (State.DOWN, 400), (State.UNKNOWN, 200), (State.DEGRADED, 300))
    tally = count(happened, WHOLE, START, END, claims=[(at(200), at(900))])
    assert {kind: s for kind, s in tally.seconds.items() if s} == {
        "up": 300,
        "degraded": 300,
        "down": 100,
        "unknown": 300,
    }
    assert tally.claimed_s == 500
    maintained = count(happened, WHOLE, START, END, claims=[(at(200), at(900))], maintenance=[(at(300), at(600))])
    assert (maintained.claimed_s, maintained.seconds["maintenance"]) == (200, 300)


def test_a_claim_brings_no_outage_below_the_least_duration_of_a_contract() -> None:
    happened = states((State.UP, 500), (State.DOWN, 310), (State.UP, 190))
    terms = [(START, END, ContractPolicy(Decimal(75), min_outage_s=300))]
    claimed = count(happened, WHOLE, START, END, claims=[(at(600), at(611))], policies=terms)
    assert (claimed.seconds["down"], claimed.seconds["unknown"], claimed.countable_down_s) == (299, 11, 0)
    assert unknown_s(claimed) == 310, "if the claim is false all of the outage counts"
    assert contract_verdict(claimed, 75) == "undetermined"
    shorter = count(happened, WHOLE, START, at(790), claims=[(at(600), at(611))], policies=[policy(min_outage_s=311)])
    assert unknown_s(shorter) == 11, "it does not count, whatever is true"


def test_a_contract_is_judged_by_the_bounds_of_what_is_claimed() -> None:
    happened = states((State.UP, 500), (State.DOWN, 400), (State.UP, 100))
    terms = [policy(min_outage_s=50)]
    proven = count(happened, WHOLE, START, END, policies=terms)
    assert (proven.countable_down_s, unknown_s(proven), contract_verdict(proven, 97)) == (400, 0, "missed")
    all_claimed = count(happened, WHOLE, START, END, claims=[(at(500), at(900))], policies=terms)
    assert (all_claimed.countable_down_s, unknown_s(all_claimed)) == (0, 400)
    assert contract_verdict(all_claimed, 97) == "undetermined", "an outage cannot be claimed away"
    partly = count(happened, WHOLE, START, END, claims=[(at(600), at(700))], policies=terms)
    assert (partly.outages, partly.countable_down_s, unknown_s(partly)) == (1, 300, 100)
    assert contract_verdict(partly, 97) == "missed"


@given(histories(), st.integers(0, 2000), st.integers(1, 3000))
def test_claims_take_no_downtime_out_of_the_bounds_of_a_contract(
    history: CountableHistory, begin: int, length: int
) -> None:
    low = to_slot(START) + begin
    (claimed,), (proven,) = (tally_parts(one, [(low, low + length)]) for one in (history, replace(history, claims=[])))
    assert claimed.countable_down_s <= proven.countable_down_s
    for terms, of_proven in proven.contracts.items():
        of_claimed = claimed.contracts[terms]
        assert of_claimed.counted_down_s <= of_proven.counted_down_s
        assert of_claimed.counted_down_s + of_claimed.unknown_s >= of_proven.counted_down_s


@given(histories(), st.integers(0, 2000), st.integers(1, 3000))
def test_seconds_add_up_to_the_period_whatever_happened(history: CountableHistory, begin: int, length: int) -> None:
    start = to_slot(START) + begin
    (tally,) = tally_parts(history, [(start, start + length)])
    assert sum(tally.seconds.values()) == length
    assert tuple(tally.seconds) == KINDS
    assert min(tally.seconds.values()) >= 0
    assert sum(tally.down_by_cause.values()) == tally.seconds["down"]
    assert sum(tally.outage_seconds.values()) == tally.seconds["down"]
    assert tally.countable_down_s <= tally.contract_s <= tally.active_s
    assert tally.claimed_s <= tally.seconds["up"] + tally.seconds["unknown"]


@given(histories(), st.lists(st.integers(1, 2999), max_size=10, unique=True))
def test_the_parts_of_a_period_add_up_to_the_whole(history: CountableHistory, cuts: list[int]) -> None:
    base = to_slot(START)
    marks = [base, *(base + cut for cut in sorted(cuts)), base + 3000]
    (whole,) = tally_parts(history, [(base, base + 3000)])
    together, apart = Tally(), Tally()
    for part in tally_parts(history, list(itertools.pairwise(marks))):
        together.merge(part)
    for span in itertools.pairwise(marks):
        apart.merge(tally_parts(history, [span])[0])
    assert together == apart == whole
    assert (together.outages, together.longest_outage_s) == (whole.outages, whole.longest_outage_s)


@given(spans)
def test_overlaid_intervals_never_overlap_and_the_last_one_wins(layers: list[tuple[int, int]]) -> None:
    intervals = overlay((a, b, number) for number, (a, b) in enumerate(layers))
    assert all(a < b for a, b, _ in intervals)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(intervals))
    for second in range(-500, 3500, 37):
        over = [number for number, (a, b) in enumerate(layers) if a <= second < b]
        assert [v for a, b, v in intervals if a <= second < b] == over[-1:]


@given(st.lists(spans, min_size=1, max_size=4))
def test_aligned_intervals_cover_everything_once(layers_of_maps: list[list[tuple[int, int]]]) -> None:
    intervalss = [overlay((a, b, True) for a, b in layers) for layers in layers_of_maps]
    aligned = list(align(intervalss, 0, 3000))
    assert (aligned[0][0], aligned[-1][1]) == (0, 3000)
    assert all(left[1] == right[0] for left, right in itertools.pairwise(aligned))
    for number, intervals in enumerate(intervalss):
        covered = sum(b - a for a, b, values in aligned if values[number])
        assert covered == sum(max(0, min(b, 3000) - max(a, 0)) for a, b, _ in intervals)


@given(spans, spans)
def test_gaps_of_one_map_are_filled_from_another(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    over = overlay((a, b, "over") for a, b in first)
    under = overlay((a, b, "under") for a, b in second)
    filled = fill_gaps(over, under)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(filled))
    for moment in range(-500, 3500, 37):
        values = [value for intervals in (over, under) for a, b, value in intervals if a <= moment < b]
        assert [value for a, b, value in filled if a <= moment < b] == values[:1]


def test_terms_without_service_hours_serve_all_day() -> None:
    assert policies_in_force([(0, 100, policy := ContractPolicy(Decimal(97)))], 10, 200) == [
        (10, 100, PolicyInForce(policy, True))
    ]
