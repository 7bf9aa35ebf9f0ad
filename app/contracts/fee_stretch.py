"""What was counted of a site under one set of terms, with the fee of those days, and which are taken together. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import reduce

from app.contracts.restitution_rule import RestitutionRule, RuleKind


@dataclass(frozen=True, slots=True)
class CountedOutage:
    """`started_at` tells outages apart: two parts of one, in different stretches, have the same."""

    started_at: datetime
    counted_s: int
    unknown_s: int = 0


@dataclass(frozen=True, slots=True)
class FeeStretch:
    """A site's link under one set of terms; `fee` is that of its days, None where none is known."""

    terms_on: date
    covered_s: int
    service_s: int
    good_s: int
    counted_down_s: int
    excluded: Mapping[str, int]
    unknown_s: int
    target_pct: Decimal
    fee: Fraction | None
    rule: RestitutionRule | None
    min_coverage_pct: Decimal | None = None
    outages: Sequence[CountedOutage] = ()

    def __post_init__(self) -> None:
        parts = (self.good_s, self.counted_down_s, self.unknown_s, *self.excluded.values())
        if min(parts) < 0 or sum(parts) != self.service_s or self.service_s > self.covered_s:
            raise ValueError(f"{self.terms_on}: good, down, excluded and unknown are not the service seconds")
        if self.fee is not None and self.fee < 0:
            raise ValueError(f"{self.terms_on}: a fee below 0")

    @property
    def known_s(self) -> int:
        return self.service_s - self.unknown_s


def taken_together(stretches: Sequence[FeeStretch]) -> list[list[FeeStretch]]:
    """Return the stretches, those of the same rule and least coverage together, where it decides of the same target.

    Terms that change something else mid-month then change no amount. Downtime is paid at the fee of its own days: by
    proportion, days of another fee stay apart.
    """
    groups: dict[tuple[object, ...], list[FeeStretch]] = {}
    for stretch in stretches:
        if stretch.covered_s:
            groups.setdefault(_alike(stretch), []).append(stretch)
    return list(groups.values())


def _alike(stretch: FeeStretch) -> tuple[object, ...]:
    rule, fee = stretch.rule, stretch.fee
    is_by_second = rule is not None and rule.kind is RuleKind.PROPORTIONAL
    rate = fee / stretch.covered_s if is_by_second and fee is not None else None
    target_pct = stretch.target_pct if rule is not None and rule.kind is RuleKind.SHORTFALL else None
    return rule, target_pct, stretch.min_coverage_pct, fee is None, rate


def merged(group: Sequence[FeeStretch]) -> FeeStretch:
    """Return stretches that are alike as one."""
    return reduce(_merge, group)


def _merge(one: FeeStretch, other: FeeStretch) -> FeeStretch:
    reasons = sorted(one.excluded.keys() | other.excluded.keys())
    return replace(
        one,
        covered_s=one.covered_s + other.covered_s,
        service_s=one.service_s + other.service_s,
        good_s=one.good_s + other.good_s,
        counted_down_s=one.counted_down_s + other.counted_down_s,
        unknown_s=one.unknown_s + other.unknown_s,
        excluded={reason: one.excluded.get(reason, 0) + other.excluded.get(reason, 0) for reason in reasons},
        fee=None if one.fee is None or other.fee is None else one.fee + other.fee,
        outages=_joined_outages([*one.outages, *other.outages]),
    )


def _joined_outages(parts: Sequence[CountedOutage]) -> tuple[CountedOutage, ...]:
    outages: dict[datetime, CountedOutage] = {}
    for part in parts:
        before = outages.get(part.started_at, CountedOutage(part.started_at, 0))
        outages[part.started_at] = CountedOutage(
            part.started_at, before.counted_s + part.counted_s, before.unknown_s + part.unknown_s
        )
    return tuple(outages.values())
