"""Restitution: bounds that no month may break, whatever the rule, and what each reading of unknown time claims."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contracts.fee_stretch import CountedOutage, FeeStretch
from app.contracts.restitution import Restitution, RestitutionStatus, compute_restitution
from app.contracts.restitution_rule import RestitutionRule, check
from app.contracts.rupiah import count_in_words, round_half_up, rupiah_in_words
from app.core.clock import WITA

MONTH_S = 2_678_400
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no finding
RULES: dict[str, dict[str, Any]] = {
    "proportional": {"kind": "proportional"},
    "divided": {"kind": "proportional", "divisor_pct": 99.5},
    "shortfall": {"kind": "shortfall"},
    "banded": {"kind": "banded", "bands": [{"below_pct": 99.5, "share_pct": 5}, {"below_pct": 98, "share_pct": 20}]},
    "by_share": {"kind": "per_incident", "after_s": 14_400, "per_hour_pct": 0.5},
    "by_rupiah": {"kind": "per_incident", "after_s": 0, "per_hour_idr": 75_000},
    "cliff": {"kind": "cliff", "below_pct": 95, "share_pct": 60},
}
PERCENT = st.integers(1, 100_000).map(lambda n: Decimal(n) / 1000)


def rule(kind: str, **changes: Any) -> RestitutionRule:
    return RestitutionRule.model_validate(RULES[kind] | changes)


def month(of_rule: RestitutionRule | None, down_s: int = 0, unknown_s: int = 0, **changes: Any) -> FeeStretch:
    """Return a month at Rp 4,500,000 with all downtime in one outage."""
    outages = [CountedOutage(datetime(2026, 10, 7, tzinfo=WITA), down_s)] if down_s else []
    of_month = FeeStretch(
        date(2026, 1, 1),
        MONTH_S,
        MONTH_S,
        MONTH_S - down_s - unknown_s,
        down_s,
        {},
        unknown_s,
        Decimal("99.5"),
        Fraction(4_500_000),
        of_rule,
        outages=outages,
    )
    return replace(of_month, **changes)


@st.composite
def rules(draw: st.DrawFn) -> RestitutionRule:
    kind = draw(st.sampled_from(list(RULES)))
    readings = ["unproven", "as_good", "as_down"] + ([] if kind.startswith("by_") else ["pro_rata"])
    return rule(kind, cap_pct=draw(PERCENT), unknown=draw(st.sampled_from(readings)))


@st.composite
def stretches(draw: st.DrawFn) -> FeeStretch:
    covered_s = draw(st.integers(1, MONTH_S))
    service_s = draw(st.integers(0, covered_s))
    cuts = sorted(draw(st.lists(st.integers(0, service_s), min_size=3, max_size=3)))
    down_s, excluded_s, unknown_s = cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1]
    parts = sorted(draw(st.lists(st.integers(0, down_s), max_size=5)))
    lengths = [high - low for low, high in zip([0, *parts], [*parts, down_s], strict=True)]
    return FeeStretch(
        date(2026, 1, 1),
        covered_s,
        service_s,
        service_s - cuts[2],
        down_s,
        {"power": excluded_s},
        unknown_s,
        draw(PERCENT),
        draw(st.fractions(0, 10**15)),
        draw(rules()),
        draw(st.none() | PERCENT),
        [CountedOutage(datetime(2026, 10, 1, hour, tzinfo=WITA), length_s) for hour, length_s in enumerate(lengths)],
    )


@UNTIMED
@given(stretches())
def test_an_amount_lies_between_its_bounds_and_below_the_cap(stretch: FeeStretch) -> None:
    found = compute_restitution([stretch])
    assert stretch.fee is not None
    assert stretch.rule is not None
    assert 0 <= found.least_idr <= found.idr <= found.most_idr
    assert found.most_idr <= round_half_up(stretch.fee * Fraction(stretch.rule.cap_pct) / 100)
    assert all(type(idr) is int for idr in (found.idr, found.least_idr, found.most_idr))
    assert found.idr == 0 or found.status is RestitutionStatus.DUE


@UNTIMED
@given(stretches(), st.data())
def test_more_downtime_never_pays_back_less(stretch: FeeStretch, data: st.DataObject) -> None:
    more_s = data.draw(st.integers(0, stretch.good_s))
    longest = [*stretch.outages]
    longest[-1] = replace(longest[-1], counted_s=longest[-1].counted_s + more_s)
    worse = replace(
        stretch, good_s=stretch.good_s - more_s, counted_down_s=stretch.counted_down_s + more_s, outages=longest
    )
    before, after = compute_restitution([stretch]), compute_restitution([worse])
    assert before.idr <= after.idr
    assert before.least_idr <= after.least_idr


@UNTIMED
@given(stretches(), st.data())
def test_terms_that_change_something_else_mid_month_change_no_amount(stretch: FeeStretch, data: st.DataObject) -> None:
    first, second = split(stretch, data)
    whole, parts = compute_restitution([stretch]), compute_restitution([first, second])
    assert (parts.idr, parts.least_idr, parts.most_idr, parts.status) == (
        whole.idr,
        whole.least_idr,
        whole.most_idr,
        whole.status,
    )


def split(stretch: FeeStretch, data: st.DataObject) -> tuple[FeeStretch, FeeStretch]:
    """Cut a stretch in two at any second: what was counted falls to either, the fee by the seconds covered."""
    names = ("good_s", "counted_down_s", "unknown_s")
    first = {name: data.draw(st.integers(0, getattr(stretch, name))) for name in names}
    power_s = data.draw(st.integers(0, stretch.excluded["power"]))
    service_s = sum(first.values()) + power_s
    outside_s = data.draw(st.integers(0, stretch.covered_s - stretch.service_s))
    covered_s = service_s + outside_s
    assert stretch.fee is not None
    fee = stretch.fee * covered_s / stretch.covered_s
    cut_outages = [
        (each, data.draw(st.integers(0, each.counted_s)) if each.counted_s else 0) for each in stretch.outages
    ]
    early = replace(
        stretch,
        covered_s=covered_s,
        service_s=service_s,
        excluded={"power": power_s},
        fee=fee,
        outages=[replace(each, counted_s=cut) for each, cut in cut_outages],
        good_s=first["good_s"],
        counted_down_s=first["counted_down_s"],
        unknown_s=first["unknown_s"],
    )
    late = replace(
        stretch,
        terms_on=date(2026, 10, 16),
        covered_s=stretch.covered_s - covered_s,
        service_s=stretch.service_s - service_s,
        excluded={"power": stretch.excluded["power"] - power_s},
        fee=stretch.fee - fee,
        outages=[replace(each, counted_s=each.counted_s - cut) for each, cut in cut_outages],
        good_s=stretch.good_s - first["good_s"],
        counted_down_s=stretch.counted_down_s - first["counted_down_s"],
        unknown_s=stretch.unknown_s - first["unknown_s"],
    )
    return early, late


@pytest.mark.parametrize(
    ("unknown", "idr"), [("unproven", 60_484), ("as_good", 60_484), ("as_down", 120_968), ("pro_rata", 61_308)]
)
def test_unknown_time_counts_as_the_rule_says_and_the_bounds_stay(unknown: str, idr: int) -> None:
    found = compute_restitution([month(rule("proportional", unknown=unknown), 36_000, 36_000)])
    assert (found.idr, found.least_idr, found.most_idr) == (idr, 60_484, 120_968)


def test_unknown_time_of_an_outage_lengthens_it_and_all_other_is_one_more_outage() -> None:
    began = datetime(2026, 10, 7, tzinfo=WITA)
    outages = [CountedOutage(began, 10_800, unknown_s=7_200)]  # 3 h, and 2 h that its device contests
    found = compute_restitution([month(rule("by_share"), 10_800, 7_200 + 36_000, outages=outages)])
    assert (found.idr, found.status) == (0, RestitutionStatus.NONE)
    assert found.most_idr == 4_500_000 * 0.5 / 100 * (1 + 6)


def test_two_parts_of_an_outage_under_two_terms_are_one_outage() -> None:
    began = datetime(2026, 10, 15, 20, tzinfo=WITA)
    part = month(rule("by_share"), 10_800, outages=[CountedOutage(began, 10_800)])
    assert compute_restitution([part]).idr == 0
    both = compute_restitution([part, replace(part, terms_on=date(2026, 10, 16))])
    assert both.idr == 2 * 0.5 / 100 * 9_000_000, "six hours, two of them beyond the four that cost nothing"


@pytest.mark.parametrize("kind", ["by_share", "cliff", "banded", "proportional"])
def test_a_new_target_mid_month_changes_no_amount_of_a_rule_that_asks_for_none(kind: str) -> None:
    began = datetime(2026, 10, 7, 20, tzinfo=WITA)
    first = month(rule(kind), 50 * 3_600, outages=[CountedOutage(began, 50 * 3_600)])
    second = replace(first, terms_on=date(2026, 10, 16), counted_down_s=0, good_s=MONTH_S, outages=[])
    same = compute_restitution([first, second])
    other = compute_restitution([first, replace(second, target_pct=Decimal("99.499"))])
    assert (other.idr, other.status) == (same.idr, same.status)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"rule": None}, "no_rule"),
        ({"fee": None}, "no_fee"),
        ({"fee": Fraction(0)}, "none"),
        ({"min_coverage_pct": Decimal(99)}, "not_provable"),
        ({"min_coverage_pct": Decimal("98.655")}, "due"),
    ],
)
def test_nothing_is_computed_or_claimed_without_a_rule_a_fee_or_enough_evidence(
    changes: dict[str, Any], status: str
) -> None:
    found = compute_restitution([month(rule("proportional"), 36_000, 36_000, **changes)])
    assert (found.status, found.idr > 0) == (status, status == "due")
    assert found.steps
    assert compute_restitution([]) == Restitution(0, 0, 0, RestitutionStatus.NONE, [])


def test_a_month_without_a_second_of_service_pays_back_nothing() -> None:
    empty = month(rule("cliff"), service_s=0, good_s=0)
    found = compute_restitution([empty])
    assert (found.idr, found.most_idr, found.status) == (0, 0, "none")
    nothing_known = month(rule("shortfall", unknown="pro_rata"), unknown_s=MONTH_S)
    assert compute_restitution([nothing_known]).status is RestitutionStatus.NOT_PROVABLE


@pytest.mark.parametrize("changes", [{"good_s": 0}, {"good_s": MONTH_S + 1, "unknown_s": -1}, {"fee": Fraction(-1)}])
def test_seconds_that_do_not_add_up_and_fees_below_nothing_are_no_input(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="2026-01-01"):
        month(rule("proportional"), **changes)


def test_the_arithmetic_is_written_out_in_both_languages() -> None:
    found = compute_restitution([month(rule("divided", cap_pct=1), 36_000, 3_600)])
    assert [step["en"] for step in found.steps] == [
        "Fee Rp 4,500,000; service time 2,678,400 s, of which 36,000 s count as down and 3,600 s are unknown.",
        "Only what is proven is claimed: the unknown 3,600 s count as available here.",
        "Rp 4,500,000 × 36,000 s ÷ (2,678,400 s × 99.5%) = Rp 60,787.81.",
        "At most 1% of the fee: Rp 45,000.",
        "With all unknown time good it would be Rp 45,000, with all of it down Rp 45,000.",
    ]
    assert found.steps[2]["id"] == "Rp 4.500.000 × 36.000 detik ÷ (2.678.400 detik × 99,5%) = Rp 60.787,81."


def test_halves_are_rounded_up_and_amounts_written_exactly_to_the_cent() -> None:
    assert [round_half_up(Fraction(n, 2)) for n in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert round_half_up(Fraction(10**18, 1) + Fraction(1, 2)) == 10**18 + 1, "no float has seen it"
    assert rupiah_in_words(Fraction(2_580_645, 2)) == {"id": "Rp 1.290.322,5", "en": "Rp 1,290,322.5"}
    assert count_in_words(Fraction(999_999, 1_000), 2)["en"] == "1,000"


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"kind": "banded"}, {"bands": "missing"}),
        ({"kind": "cliff"}, {"below_pct": "missing"}),
        ({"kind": "per_incident"}, {"after_s": "missing", "per_hour_pct": "one_of_two"}),
        (RULES["by_share"] | {"per_hour_idr": 5}, {"per_hour_pct": "one_of_two"}),
        (RULES["by_share"] | {"unknown": "pro_rata"}, {"unknown": "no_rate"}),
        (RULES["shortfall"] | {"below_pct": 99}, {"below_pct": "other_kind"}),
        (
            {"kind": "banded", "bands": [{"below_pct": 98, "share_pct": 20}, {"below_pct": 99, "share_pct": 5}]},
            {"bands.1.below_pct": "bands_overlap", "bands.1.share_pct": "bands_fall"},
        ),
        ({"kind": "banded", "bands": [{"below_pct": 98, "share_pct": 20}] * 2}, {"bands.1.below_pct": "bands_overlap",
                                                                                "bands.1.share_pct": "bands_fall"}),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_meant_is_refused_by_field(fields: dict[str, Any], faults: dict[str, str]) -> None:
    found = {fault.field.removeprefix("restitution."): fault.code for fault in check(RestitutionRule(**fields))}
    assert found == faults


@pytest.mark.parametrize("kind", RULES)
def test_each_kind_of_rule_is_accepted_and_pays_for_a_month_without_service(kind: str) -> None:
    assert [*check(rule(kind))] == []
    all_down = compute_restitution([month(rule(kind), MONTH_S)])
    assert all_down.status is RestitutionStatus.DUE
