"""What a site's month under a contract pays back, exact to the rupiah, with the arithmetic written out. Pure.

Amounts are fractions until the end: a month is rounded once, half up, to whole rupiah.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

from app.contracts.restitution_rule import BY_THRESHOLD, RestitutionRule, RuleKind, UnknownAs
from app.contracts.rupiah import round_half_up
from app.core.words import Bilingual

HOUR_S = 3_600
ZERO = Fraction(0)


class RestitutionStatus(StrEnum):
    """`none`: nothing is due; `due`; `not_provable`: too much is unknown to claim anything; `no_rule`, `no_fee`: the
    terms have none, so that nothing is computed.
    """

    NONE = "none"
    DUE = "due"
    NOT_PROVABLE = "not_provable"
    NO_FEE = "no_fee"
    NO_RULE = "no_rule"


@dataclass(frozen=True, slots=True)
class CountedOutage:
    """`started_at` tells outages apart: two parts of one, in different stretches, have the same."""

    started_at: datetime
    counted_s: int
    unknown_s: int = 0


@dataclass(frozen=True, slots=True)
class FeeStretch:
    """What was counted of a site's link under one set of terms, and the fee of those days (None: none is known)."""

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


class Counted(NamedTuple):
    """Seconds that an amount is computed from; `available` is the share of `base_s` that was not down."""

    base_s: int
    down_s: int
    outages_s: Sequence[int]

    @property
    def available(self) -> Fraction:
        return Fraction(self.base_s - self.down_s, self.base_s)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Of stretches that are computed together: what is claimed, all unknown as good, and all as down."""

    stretch: FeeStretch
    claimed: Fraction
    least: Fraction
    most: Fraction
    status: RestitutionStatus


@dataclass(frozen=True, slots=True)
class Restitution:
    idr: int
    least_idr: int
    most_idr: int
    status: RestitutionStatus
    steps: list[Bilingual]


def compute_restitution(months: Sequence[FeeStretch]) -> Restitution:
    """Return what the stretches of one site's link under one contract in one month pay back together."""
    amounts = [_amounts(stretch) for stretch in taken_together(months)]
    names = ("claimed", "least", "most")
    claimed, least, most = (sum((getattr(each, name) for each in amounts), ZERO) for name in names)
    statuses = {each.status for each in amounts}
    status = next((each for each in BY_WEIGHT if each in statuses), RestitutionStatus.NONE)
    return Restitution(round_half_up(claimed), round_half_up(least), round_half_up(most), status, [])


BY_WEIGHT = (
    RestitutionStatus.DUE,
    RestitutionStatus.NOT_PROVABLE,
    RestitutionStatus.NO_FEE,
    RestitutionStatus.NO_RULE,
)


def taken_together(months: Sequence[FeeStretch]) -> list[FeeStretch]:
    """Return the stretches with those of the same rule, target and least coverage taken together.

    Terms that change something else mid-month then change no amount. Downtime is paid at the fee of its own days: by
    proportion, days of another fee stay apart.
    """
    groups: dict[tuple[object, ...], list[FeeStretch]] = {}
    for stretch in months:
        if stretch.covered_s:
            groups.setdefault(_terms_of(stretch), []).append(stretch)
    return [reduce(_merge, group) for group in groups.values()]


def _terms_of(stretch: FeeStretch) -> tuple[object, ...]:
    rule, fee = stretch.rule, stretch.fee
    by_fee = rule is not None and rule.kind is RuleKind.PROPORTIONAL and fee is not None
    rate = fee / stretch.covered_s if by_fee and fee is not None else None
    return rule, stretch.target_pct, stretch.min_coverage_pct, fee is None, rate


def _merge(one: FeeStretch, other: FeeStretch) -> FeeStretch:
    names = ("covered_s", "service_s", "good_s", "counted_down_s", "unknown_s")
    reasons = one.excluded.keys() | other.excluded.keys()
    outages: dict[datetime, CountedOutage] = {}
    for each in (*one.outages, *other.outages):
        seen = outages.get(each.started_at)
        outages[each.started_at] = (
            each
            if seen is None
            else CountedOutage(each.started_at, seen.counted_s + each.counted_s, seen.unknown_s + each.unknown_s)
        )
    return replace(
        one,
        **{name: getattr(one, name) + getattr(other, name) for name in names},
        excluded={reason: one.excluded.get(reason, 0) + other.excluded.get(reason, 0) for reason in reasons},
        fee=None if one.fee is None or other.fee is None else one.fee + other.fee,
        outages=tuple(outages.values()),
    )


def _amounts(stretch: FeeStretch) -> Amounts:
    rule, fee = stretch.rule, stretch.fee
    if rule is None:
        return Amounts(stretch, ZERO, ZERO, ZERO, RestitutionStatus.NO_RULE)
    if fee is None:
        return Amounts(stretch, ZERO, ZERO, ZERO, RestitutionStatus.NO_FEE)
    least, most = (amount(fee, stretch.target_pct, rule, read_as(stretch, each)) for each in BOUNDS)
    if is_too_little_seen(stretch):
        return Amounts(stretch, ZERO, ZERO, most, RestitutionStatus.NOT_PROVABLE)
    claimed = amount(fee, stretch.target_pct, rule, read_as(stretch, rule.unknown))
    if claimed > 0:
        return Amounts(stretch, claimed, least, most, RestitutionStatus.DUE)
    is_open = rule.unknown is UnknownAs.UNPROVEN and rule.kind in BY_THRESHOLD and most > 0
    is_open |= rule.unknown is UnknownAs.PRO_RATA and stretch.unknown_s == stretch.service_s > 0
    return Amounts(stretch, claimed, least, most, RestitutionStatus.NOT_PROVABLE if is_open else RestitutionStatus.NONE)


BOUNDS = (UnknownAs.AS_GOOD, UnknownAs.AS_DOWN)


def is_too_little_seen(stretch: FeeStretch) -> bool:
    """Return whether less than the terms' least coverage of the service seconds is known."""
    if stretch.min_coverage_pct is None or stretch.service_s == 0:
        return False
    known_s = stretch.service_s - stretch.unknown_s
    return Fraction(known_s * 100, stretch.service_s) < Fraction(stretch.min_coverage_pct)


def read_as(stretch: FeeStretch, unknown: UnknownAs) -> Counted:
    """Return the seconds that count, unknown ones as that.

    As down, the unknown seconds of an outage lengthen it, and all others are one more outage.
    """
    counted = [each.counted_s for each in stretch.outages]
    if unknown is UnknownAs.PRO_RATA:
        return Counted(stretch.service_s - stretch.unknown_s, stretch.counted_down_s, counted)
    if unknown is not UnknownAs.AS_DOWN:
        return Counted(stretch.service_s, stretch.counted_down_s, counted)
    elsewhere_s = stretch.unknown_s - sum(each.unknown_s for each in stretch.outages)
    lengthened = [each.counted_s + each.unknown_s for each in stretch.outages]
    return Counted(stretch.service_s, stretch.counted_down_s + stretch.unknown_s, [*lengthened, max(0, elsewhere_s)])


def amount(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    """Return what the rule pays back of the fee for these seconds, at most its cap; 0 without a second."""
    if counted.base_s <= 0:
        return ZERO
    return min(AMOUNTS[rule.kind](fee, target_pct, rule, counted), fee * of_hundred(rule.cap_pct))


def of_hundred(pct: Decimal) -> Fraction:
    return Fraction(pct) / 100


def _proportional(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    divisor = Fraction(counted.base_s) * of_hundred(rule.divisor_pct or Decimal(100))
    return fee * counted.down_s / divisor


def _shortfall(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    return fee * max(ZERO, of_hundred(target_pct) - counted.available)


def _banded(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    holding = [band for band in rule.bands or () if counted.available < of_hundred(band.below_pct)]
    return fee * of_hundred(holding[-1].share_pct) if holding else ZERO


def _cliff(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    is_below = counted.available < of_hundred(rule.below_pct or Decimal(0))
    return fee * of_hundred(rule.share_pct or Decimal(100)) if is_below else ZERO


def _per_incident(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    an_hour = fee * of_hundred(rule.per_hour_pct) if rule.per_hour_pct is not None else Fraction(rule.per_hour_idr or 0)
    return an_hour * sum(hours_beyond(rule, length_s) for length_s in counted.outages_s)


def hours_beyond(rule: RestitutionRule, length_s: int) -> int:
    """Return the begun hours of an outage beyond what costs nothing."""
    return max(0, length_s - (rule.after_s or 0) + HOUR_S - 1) // HOUR_S


AMOUNTS: dict[RuleKind, Callable[[Fraction, Decimal, RestitutionRule, Counted], Fraction]] = {
    RuleKind.PROPORTIONAL: _proportional,
    RuleKind.SHORTFALL: _shortfall,
    RuleKind.BANDED: _banded,
    RuleKind.PER_INCIDENT: _per_incident,
    RuleKind.CLIFF: _cliff,
}
