"""What a contract counts each second as: one thing, in a fixed order of reasons (docs/adr/0025)."""

import itertools
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.availability.contract_tally import ContractTally
from app.availability.counted_runs import counted_runs
from app.availability.counting import CountableHistory, cut_slices, tally_parts
from app.availability.day_rows import day_rows
from app.availability.intervals import align
from app.availability.policy import ContractPolicy, TermsKey
from app.availability.tally import Tally
from app.core.clock import midnight, to_slot
from app.registry.configuration import ConfigurationInForce
from app.registry.models import LinkRole, State
from tests.support.random_histories import START, contracted_histories

BASE = to_slot(START)
FIRST = TermsKey(1, LinkRole.PRIMARY, date(2026, 11, 1))
BACKUP = TermsKey(2, LinkRole.BACKUP, date(2026, 11, 1))


def terms(key: TermsKey = FIRST, **changes: Any) -> ContractPolicy:
    return ContractPolicy(Decimal(97), terms=key, **changes)


def history(*lengths: tuple[State, int], policies: Any = None, **changes: Any) -> CountableHistory:
    """States that follow each other from BASE on, always in service, under one contract unless others are given."""
    edges = list(itertools.accumulate((length for _, length in lengths), initial=BASE))
    fields: dict[str, Any] = {
        "states": [(a, b, state) for (state, _), (a, b) in zip(lengths, itertools.pairwise(edges), strict=True)],
        "configurations": [(0, 2**40, ConfigurationInForce(True))],
        "maintenance": [],
        "causes": [],
        "policies": [[(0, 2**40, terms())]] if policies is None else policies,
    }
    return CountableHistory(**(fields | changes))


def counted(history: CountableHistory, key: TermsKey = FIRST, *, start: int = 0, end: int = 1000) -> ContractTally:
    (tally,) = tally_parts(history, [(BASE + start, BASE + end)])
    return tally.contracts[key]


def at(low: int, high: int, value: Any = True) -> tuple[int, int, Any]:
    return BASE + low, BASE + high, value


def test_each_second_of_service_is_good_or_counted_or_excluded_or_unknown() -> None:
    happened = history(
        (State.UP, 100),
        (State.DOWN, 400),
        (State.DEGRADED, 50),
        (State.DOWN, 200),
        (State.UP, 50),
        (State.UNKNOWN, 200),
        maintenance=[at(0, 30)],
        policies=[[(0, 2**40, terms(min_outage_s=300))]],
    )
    assert counted(happened) == ContractTally(1000, 1000, 170, 400, 200, 0, {"maintenance": 30, "short": 200})


def test_maintenance_comes_first_then_what_is_unknown_then_the_cause_then_the_parent_then_the_length() -> None:
    happened = history(
        (State.UNREACHABLE, 500),
        (State.DOWN, 200),
        (State.UP, 300),
        maintenance=[at(0, 100)],
        claims=[at(50, 200)],
        causes=[at(0, 300, "power"), at(600, 700, "link")],
        policies=[[(0, 2**40, terms(min_outage_s=201, excluded_causes={"power"}, excuses_parent=True))]],
    )
    excluded = {"maintenance": 100, "power": 100, "parent": 200, "short": 200}
    assert counted(happened) == ContractTally(1000, 1000, 300, 0, 100, 100, excluded)


def test_maintenance_and_excluded_outages_stay_in_the_denominator() -> None:
    happened = history((State.UP, 500), (State.DOWN, 400), (State.UNKNOWN, 100), maintenance=[at(500, 700)])
    tally = counted(happened)
    assert (tally.service_s, tally.counted_down_s, tally.excluded) == (1000, 200, {"maintenance": 200})
    assert (tally.availability_pct, tally.worst_pct, tally.best_pct) == (77.777, 70.0, 80.0)


def test_outside_of_service_hours_and_of_service_nothing_counts_and_all_is_covered() -> None:
    low = to_slot(midnight(date(2026, 11, 24)))
    hours = terms(service_from=time(8), service_to=time(16))
    happened = CountableHistory(
        states=[(low, low + 86_400, State.DOWN)],
        configurations=[
            (0, low + 12 * 3600, ConfigurationInForce(True)),
            (low + 12 * 3600, 2**40, ConfigurationInForce(False)),
        ],
        maintenance=[(low, low + 9 * 3600, True)],
        causes=[],
        policies=[[(0, 2**40, hours)]],
    )
    (tally,) = tally_parts(happened, [(low, low + 86_400)])
    expected = ContractTally(86_400, 4 * 3600, 0, 3 * 3600, 0, 0, {"maintenance": 3600})
    assert tally.contracts[FIRST] == expected


@pytest.mark.parametrize(
    ("least", "counts", "expected"),
    [
        (0, False, (999, 0, {})),
        (299, True, (400, 599, {})),
        (300, True, (400, 300, {"short": 299})),
        (301, True, (400, 0, {"short": 599})),
    ],
)
def test_degraded_time_is_good_unless_the_terms_count_it_by_its_own_length(
    least: int, counts: bool, expected: tuple[int, int, dict[str, int]]
) -> None:
    happened = history(
        (State.UP, 350),
        (State.DEGRADED, 300),
        (State.UP, 50),
        (State.DEGRADED, 299),
        (State.UNKNOWN, 1),
        policies=[[(0, 2**40, terms(min_outage_s=least, degraded_counts=counts))]],
    )
    tally = counted(happened)
    assert (tally.good_s, tally.counted_down_s, tally.excluded, tally.unknown_s) == (*expected, 1)


def test_degraded_time_and_a_downtime_beside_it_lend_each_other_no_length() -> None:
    happened = history(
        (State.DOWN, 250),
        (State.DEGRADED, 250),
        (State.DOWN, 200),
        (State.DEGRADED, 300),
        policies=[[(0, 2**40, terms(min_outage_s=300, degraded_counts=True))]],
    )
    assert counted(happened) == ContractTally(1000, 1000, 0, 300, 0, 0, {"short": 700})
    across = counted(happened, start=900), counted(happened, end=900)
    assert [tally.counted_down_s for tally in across] == [100, 200], "its length is that beyond the period, too"


def test_two_contracts_at_a_time_count_each_by_its_own_terms_and_the_figures_of_the_row_are_the_primary_links() -> None:
    happened = history(
        (State.DOWN, 400),
        (State.UP, 600),
        causes=[at(0, 400, "power")],
        policies=[
            [at(100, 1000, terms(excluded_causes={"power"}))],
            [at(0, 1000, terms(BACKUP, min_outage_s=300))],
        ],
    )
    (tally,) = tally_parts(happened, [(BASE, BASE + 1000)])
    assert tally.contracts == {
        FIRST: ContractTally(900, 900, 600, 0, 0, 0, {"power": 300}),
        BACKUP: ContractTally(1000, 1000, 600, 400, 0, 0, {}),
    }
    assert (tally.contract_s, tally.countable_down_s) == (1000, 100), "before the primary's contract the backup's"


def test_an_outage_over_the_midnight_on_which_the_contract_changes_counts_for_both_by_its_whole_length() -> None:
    second = TermsKey(9, LinkRole.PRIMARY, date(2026, 11, 1))
    happened = history(
        (State.UP, 350),
        (State.DOWN, 300),
        (State.UP, 350),
        policies=[[at(0, 500, terms(min_outage_s=300)), at(500, 1000, terms(second, min_outage_s=300))]],
    )
    (tally,) = tally_parts(happened, [(BASE, BASE + 1000)])
    assert {key.contract_id: of.counted_down_s for key, of in tally.contracts.items()} == {1: 150, 9: 150}
    assert sum(of.covered_s for of in tally.contracts.values()) == 1000


@settings(deadline=None)
@given(contracted_histories(), st.integers(0, 2000), st.integers(1, 3000))
def test_every_covered_second_counts_as_one_thing(history: CountableHistory, begin: int, length: int) -> None:
    low = BASE + begin
    (tally,) = tally_parts(history, [(low, low + length)])
    covered = {
        role: sum(b - a for a, b, values in align([of_role], low, low + length) if values[0] is not None)
        for role, of_role in zip(LinkRole, history.policies, strict=False)
    }
    for role in covered:
        assert covered[role] == sum(of.covered_s for key, of in tally.contracts.items() if key.link_role is role)
    for of in tally.contracts.values():
        assert min(of.good_s, of.counted_down_s, of.unknown_s, of.claimed_s, *of.excluded.values(), 0) == 0
        assert of.good_s + of.counted_down_s + sum(of.excluded.values()) + of.unknown_s == of.service_s <= of.covered_s
        assert of.claimed_s <= of.good_s + of.unknown_s
        if of.availability_pct is not None and of.worst_pct is not None and of.best_pct is not None:
            assert of.worst_pct <= of.availability_pct <= of.best_pct


@settings(deadline=None)
@given(contracted_histories(), st.integers(0, 2000), st.integers(1, 3000))
def test_what_is_outside_is_out_of_service_or_of_service_hours(
    history: CountableHistory, begin: int, length: int
) -> None:
    low = BASE + begin
    slices = cut_slices(history, [(low, low + length)])
    (tally,) = tally_parts(history, [(low, low + length)])
    for key, of in tally.contracts.items():
        own = [(s, c) for s in slices for c in s.contracts if c.policy.terms == key]
        inactive = sum(s.length_s for s, _ in own if s.kind == "inactive")
        closed = sum(s.length_s for s, c in own if s.kind != "inactive" and c.counted_as == "outside")
        assert of.covered_s == of.service_s + inactive + closed


@settings(deadline=None)
@given(contracted_histories(), st.lists(st.integers(1, 2999), max_size=10, unique=True))
def test_days_counted_apart_add_up_to_the_whole(history: CountableHistory, cuts: list[int]) -> None:
    """The rollup counts each day by itself; its rows hold what the whole period counts, contract by contract."""
    marks = [BASE, *(BASE + cut for cut in sorted(cuts)), BASE + 3000]
    whole = Tally()
    for slice_ in cut_slices(history, [(BASE, BASE + 3000)]):
        if slice_.configuration is not None:
            whole.add(slice_)
    rolled_up: dict[TermsKey, ContractTally] = {}
    for low, high in itertools.pairwise(marks):
        for row in day_rows(history, low, high).contracts:
            key = TermsKey(row["contract_id"], row["link_role"], row["terms_on"])
            stored = {name: row[name] for name in ContractTally.__slots__}
            rolled_up.setdefault(key, ContractTally()).merge(ContractTally(**stored))
    assert rolled_up == whole.contracts


@settings(deadline=None)
@given(contracted_histories(), st.integers(1, 2999))
def test_moving_a_site_between_contracts_loses_no_second(history: CountableHistory, cut: int) -> None:
    """Under the same terms of another contract from some second on, each second counts as it did."""
    moved = replace_contract(history, BASE + cut)
    (before,), (after,) = (tally_parts(one, [(BASE, BASE + 3000)]) for one in (history, moved))
    assert total(before) == total(after)


def replace_contract(history: CountableHistory, since: int) -> CountableHistory:
    def moved(policy: ContractPolicy) -> ContractPolicy:
        return replace(policy, terms=policy.terms._replace(contract_id=policy.terms.contract_id + 10))

    return replace(
        history,
        policies=[
            [
                *((a, min(b, since), policy) for a, b, policy in of_role if a < since),
                *((max(a, since), b, moved(policy)) for a, b, policy in of_role if b > since),
            ]
            for of_role in history.policies
        ],
    )


def total(tally: Tally) -> ContractTally:
    whole = ContractTally()
    for of in tally.contracts.values():
        whole.merge(of)
    return whole


@settings(deadline=None)
@given(contracted_histories(), st.integers(0, 2000), st.integers(1, 3000))
def test_the_outages_of_a_contract_add_up_to_what_it_counts(history: CountableHistory, begin: int, length: int) -> None:
    low = BASE + begin
    slices = cut_slices(history, [(low, low + length)])
    (tally,) = tally_parts(history, [(low, low + length)])
    of_runs: dict[tuple[int, LinkRole], ContractTally] = {}
    for counted_run in counted_runs(slices):
        key = counted_run.policy.terms.contract_id, counted_run.policy.terms.link_role
        of_runs.setdefault(key, ContractTally()).merge(counted_run.tally)
    of_contracts: dict[tuple[int, LinkRole], ContractTally] = {}
    for terms_key, of in tally.contracts.items():
        of_contracts.setdefault(terms_key[:2], ContractTally()).merge(of)
    for key, of in of_contracts.items():
        runs = of_runs.get(key, ContractTally())
        assert runs.counted_down_s == of.counted_down_s
        assert without_maintenance(runs.excluded) == without_maintenance(of.excluded)


def without_maintenance(excluded: dict[str, int]) -> dict[str, int]:
    return {reason: seconds for reason, seconds in excluded.items() if reason != "maintenance"}


@pytest.mark.parametrize(
    ("min_outage_s", "claims", "unknown_s", "contested_s"),
    [
        (0, [], 100, 0),
        (0, [at(150, 200)], 150, 50),
        (180, [at(150, 200)], 300, 200),  # too short by the claim alone: all that was seen down is contested
    ],
)
def test_of_an_outage_what_nobody_saw_is_told_from_what_its_device_contests(
    min_outage_s: int, claims: Any, unknown_s: int, contested_s: int
) -> None:
    happened = history(
        (State.UP, 100),
        (State.DOWN, 100),
        (State.UNKNOWN, 100),
        (State.DOWN, 100),
        (State.UP, 600),
        claims=claims,
        policies=[[(0, 2**40, terms(min_outage_s=min_outage_s))]],
    )
    [run] = counted_runs(cut_slices(happened, [(BASE, BASE + 1000)]))
    assert (run.tally.unknown_s, run.contested_s) == (unknown_s, contested_s)
