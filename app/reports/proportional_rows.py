"""Restitutions that one proportion of one fee makes, a row each instead of their written-out steps. Pure."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from app.contracts import restitution_rule
from app.contracts.fee_stretch import FeeStretch, taken_together
from app.contracts.restitution_amounts import (
    RestitutionStatus,
    compute_amounts,
    is_too_little_seen,
    read_as,
    uncapped,
)
from app.contracts.restitution_rule import RuleKind
from app.contracts.rupiah import count_in_words, round_half_up
from app.documents.figures import grouped, target
from app.reports.figure_schemas import ReportSite, ReportStretch
from app.reports.paper_schemas import ReportTerms

NOTE = (
    "Baris berikut menurut satu aturan dan satu biaya: biaya × detik putus ÷ detik layanan = jumlah, dibulatkan satu "
    "kali ke rupiah terdekat, setengah ke atas. Di bawah restitusi: bila semua waktu yang tidak diketahui baik, dan "
    "bila semuanya putus."
)


def proportional_row(site: ReportSite, terms: Mapping[date, ReportTerms]) -> dict[str, Any] | None:
    """Return the row of a line that is due; None where it has more steps than a multiplication and a division."""
    if any(stretch.terms_on not in terms for stretch in site.stretches):
        return None
    groups = taken_together([_fee_stretch(stretch, terms[stretch.terms_on]) for stretch in site.stretches])
    if site.restitution.status is not RestitutionStatus.DUE or len(groups) != 1:
        return None
    amounts = compute_amounts(groups[0])
    stretch, rule, fee = amounts.stretch, amounts.stretch.rule, amounts.stretch.fee
    if rule is None or fee is None or rule.kind is not RuleKind.PROPORTIONAL or is_too_little_seen(stretch):
        return None
    counted = read_as(stretch, rule.unknown)
    exact = uncapped(fee, stretch.target_pct, rule, counted)
    if exact != amounts.claimed or round_half_up(exact) != site.restitution.idr:
        return None
    return {
        "name": site.name,
        "code": site.code,
        "fee": count_in_words(fee, 2)["id"],
        "down_s": grouped(counted.down_s),
        "base_s": grouped(counted.base_s),
        "divisor": None if rule.divisor_pct is None else f"× {target(rule.divisor_pct)}",
        "exact": count_in_words(exact, 2)["id"],
        "idr": grouped(site.restitution.idr),
        "bounds": f"{grouped(site.restitution.least_idr)}–{grouped(site.restitution.most_idr)}"
        if site.restitution.least_idr != site.restitution.most_idr
        else None,
    }


def _fee_stretch(stretch: ReportStretch, terms: ReportTerms) -> FeeStretch:
    return FeeStretch(
        terms_on=stretch.terms_on,
        covered_s=stretch.covered_s,
        service_s=stretch.service_s,
        good_s=stretch.good_s,
        counted_down_s=stretch.counted_down_s,
        excluded=stretch.excluded,
        unknown_s=stretch.unknown_s,
        target_pct=Decimal(str(stretch.target_pct)),
        fee=None if stretch.fee is None else Fraction(stretch.fee),
        rule=restitution_rule.read(terms.restitution),
        min_coverage_pct=None if terms.min_coverage_pct is None else Decimal(str(terms.min_coverage_pct)),
    )
