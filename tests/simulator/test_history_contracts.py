"""The contracts of a simulated past: of every kind, and changing in the month that is argued about."""

from collections import Counter
from datetime import date, timedelta

import pytest

from app.contracts.restitution_rule import RuleKind
from app.registry.models import FeePer
from app.registry.regions import REGIONS_CSV
from simulator.history.contracts import PlannedAssignment, PlannedContracts
from simulator.villages import villages

START, MONTH, NEXT = date(2026, 8, 30), date(2026, 10, 1), date(2026, 11, 1)


@pytest.fixture(scope="module")
def planned() -> PlannedContracts:
    return PlannedContracts(START, MONTH)


@pytest.fixture(scope="module")
def assignments(planned: PlannedContracts) -> dict[str, list[PlannedAssignment]]:
    return {
        site["village_code"]: list(planned.assignments(site["village_code"], site["provider"], site["technology"]))
        for site in villages(REGIONS_CSV)
    }


def test_contracts_of_every_kind_are_in_use(
    planned: PlannedContracts, assignments: dict[str, list[PlannedAssignment]]
) -> None:
    used = {assigned.contract.key for of_site in assignments.values() for assigned in of_site}
    assert used == set(planned.by_key)
    terms = [contract.terms for contract in planned.by_key.values()]
    assert {term.get("service_from") is None for term in terms} == {True, False}
    assert {"power" in term.get("excluded_causes", ["power"]) for term in terms} == {True, False}
    assert {term.get("min_outage_s", 300) for term in terms} == {0, 300, 900}
    assert {term.get("excuses_parent", False) for term in terms} == {True, False}
    assert {term.get("degraded_counts", False) for term in terms} == {True, False}
    assert {term["sla_target_pct"] for term in terms} >= {95, 99.5}
    assert {term["restitution"] and term["restitution"]["kind"] for term in terms} == {None, *RuleKind}
    assert {term["fee_per"] for term in terms} == {*FeePer}


def test_in_the_month_a_contract_begins_one_ends_and_one_has_new_terms(planned: PlannedContracts) -> None:
    contracts = planned.by_key.values()
    assert any(MONTH < contract.valid_from < NEXT for contract in contracts)
    assert any(contract.valid_to is not None and MONTH < contract.valid_to < NEXT for contract in contracts)
    assert any(contract.addendum is not None and MONTH < contract.addendum[0] < NEXT for contract in contracts)


def test_some_sites_moved_between_contracts_and_some_are_under_none(
    assignments: dict[str, list[PlannedAssignment]],
) -> None:
    counts = Counter(len(of_site) for of_site in assignments.values())
    assert set(counts) == {0, 1, 2}
    assert counts[1] > counts[2] > counts[0] > 10
    reasons = Counter(assigned.reason is None for of_site in assignments.values() for assigned in of_site)
    assert reasons[False] > 3, "some were recorded late"
    ended = [of_site[-1] for of_site in assignments.values() if of_site and of_site[-1].ended_on is not None]
    assert ended, "some were not taken over into the next contract"


@pytest.mark.parametrize("start", [START, NEXT - timedelta(days=15), NEXT + timedelta(days=3)])
def test_a_site_is_under_one_contract_at_a_time_while_that_is_valid(start: date) -> None:
    planned = PlannedContracts(start, MONTH)
    for site in villages(REGIONS_CSV):
        day = start
        for assigned in planned.assignments(site["village_code"], site["provider"], site["technology"]):
            contract = assigned.contract
            assert contract.provider == site["provider"]
            assert max(day, contract.valid_from) <= assigned.started_on
            assert assigned.ended_on is None or assigned.started_on < assigned.ended_on
            assert contract.valid_to is None or (assigned.ended_on or date.max) <= contract.valid_to
            day = assigned.ended_on or date.max
