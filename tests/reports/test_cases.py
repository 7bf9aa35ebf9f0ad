"""Months that were computed by hand come out the same to the rupiah."""

from fractions import Fraction
from pathlib import Path

import pytest

from app.contracts.restitution import compute_restitution
from tests.reports.case_months import FILES, CaseMonth


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_month_computed_by_hand_comes_out_the_same_to_the_rupiah(file: Path) -> None:
    case = CaseMonth(file)
    for site in case.sites:
        found = compute_restitution(case.stretches(site))
        shown = {"idr": found.idr, "least_idr": found.least_idr, "most_idr": found.most_idr, "status": found.status}
        assert shown == site["restitution"], found.steps


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_fees_by_hand_are_those_of_the_terms_and_days(file: Path) -> None:
    case = CaseMonth(file)
    by_hand = {
        (number, stretch["terms_on"]): Fraction(stretch["fee"])
        for number, site in enumerate(case.sites)
        for stretch in site["stretches"]
    }
    fees = case.shared_fees()
    assert dict(fees.of_stretch) == by_hand
    assert fees.unshared == 0


def test_the_months_show_every_rule_every_reading_of_the_unknown_and_what_is_left_out() -> None:
    texts = [file.read_text(encoding="utf-8") for file in FILES]
    assert len(FILES) >= 10
    for shown in ("proportional", "shortfall", "banded", "per_incident", "cliff", "pro_rata", "as_down", "not_provable",
                  "power = 1", "parent = ", "maintenance = ", "addenda", 'fee_per = "contract"'):  # fmt: skip
        assert any(shown in text for text in texts), shown
