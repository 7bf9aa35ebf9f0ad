"""A contract's sums: percentages with their bounds, and the verdict over stretches of different terms."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.availability.contract_tally import ContractTally, Stretch, missed_by_s, verdict

SECONDS = st.integers(0, 86_400)


def tally(good: int, counted: int = 0, unknown: int = 0, **excluded: int) -> ContractTally:
    service = good + counted + unknown + sum(excluded.values())
    return ContractTally(service, service, good, counted, unknown, 0, excluded)


def test_what_is_excluded_counts_as_available_and_what_is_unknown_as_neither() -> None:
    of_a_day = tally(good=80_000, counted=800, unknown=4_000, power=1_600)
    assert of_a_day.availability_pct == 99.029  # (86,400 - 800 - 4,000) / (86,400 - 4,000)
    assert of_a_day.worst_pct == 94.444
    assert of_a_day.best_pct == 99.074


@pytest.mark.parametrize(
    ("counted", "unknown", "found"),
    [
        (1_000, 0, "met"),
        (1_001, 0, "missed"),
        (500, 500, "met"),
        (500, 501, "undetermined"),
        (0, 1_001, "undetermined"),
    ],
)
def test_a_verdict_holds_whatever_the_unknown_time_was(counted: int, unknown: int, found: str) -> None:
    whole = tally(good=100_000 - counted - unknown, counted=counted, unknown=unknown)
    assert verdict([Stretch(Decimal(99), whole)]) == found


def test_each_stretch_needs_what_its_own_terms_say() -> None:
    strict, lax = tally(good=9_900, counted=100), tally(good=10_000)
    assert verdict([Stretch(Decimal("99.5"), strict)]) == "missed"
    assert missed_by_s([Stretch(Decimal("99.5"), strict)]) == 50
    assert verdict([Stretch(Decimal("99.5"), strict), Stretch(Decimal("99.5"), lax)]) == "met"
    assert verdict([Stretch(Decimal("99.5"), strict), Stretch(Decimal("99.6"), lax)]) == "missed"


def test_without_service_there_is_no_verdict() -> None:
    assert verdict([]) is None
    assert verdict([Stretch(Decimal(99), ContractTally(covered_s=86_400))]) is None


@given(SECONDS, SECONDS, SECONDS, SECONDS, st.decimals("0.001", 100, places=3))
def test_bounds_hold_the_percentage_and_decide_the_verdict(
    good: int, counted: int, unknown: int, power: int, target: Decimal
) -> None:
    whole = tally(good, counted, unknown, power=power)
    found = verdict([Stretch(target, whole)])
    if whole.service_s == 0:
        assert (found, whole.worst_pct, whole.best_pct) == (None, None, None)
        return
    assert whole.worst_pct is not None
    assert whole.best_pct is not None
    if whole.availability_pct is not None:
        assert whole.worst_pct <= whole.availability_pct <= whole.best_pct
    assert (missed_by_s([Stretch(target, whole)]) > 0) == (found == "missed")
    assert found != "met" or Decimal(str(whole.worst_pct)) > target - Decimal("0.001")
    assert found != "missed" or Decimal(str(whole.best_pct)) < target
