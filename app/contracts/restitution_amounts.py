"""What stretches that are taken together pay back, as exact fractions of rupiah. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from app.contracts.fee_stretch import FeeStretch, merged
from app.contracts.restitution_rule import BY_THRESHOLD, Band, RestitutionRule, RuleKind, UnknownAs

HOUR_S = 3_600
ZERO = Fraction(0)
ALL = Decimal(100)


class RestitutionStatus(StrEnum):
    """`none`: nothing is due; `due`; `not_provable`: too much is unknown to claim anything; `no_rule`, `no_fee`: the
    terms have none, so that nothing is computed.
    """

    NONE = "none"
    DUE = "due"
    NOT_PROVABLE = "not_provable"
    NO_FEE = "no_fee"
    NO_RULE = "no_rule"


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
    """What is claimed of a stretch, what would be with all unknown time good, and what with all of it down."""

    stretch: FeeStretch
    terms_on: Sequence[date]  # of all that it was merged from
    status: RestitutionStatus
    claimed: Fraction = ZERO
    least: Fraction = ZERO
    most: Fraction = ZERO


def compute_amounts(group: Sequence[FeeStretch]) -> Amounts:
    """Return what stretches that are alike pay back together."""
    stretch, days = merged(group), [each.terms_on for each in group]
    rule, fee = stretch.rule, stretch.fee
    if rule is None:
        return Amounts(stretch, days, RestitutionStatus.NO_RULE)
    if fee is None:
        return Amounts(stretch, days, RestitutionStatus.NO_FEE)
    claimed, least, most = (
        capped(fee, rule, uncapped(fee, stretch.target_pct, rule, read_as(stretch, unknown)))
        for unknown in (rule.unknown, UnknownAs.AS_GOOD, UnknownAs.AS_DOWN)
    )
    if is_too_little_seen(stretch):
        return Amounts(stretch, days, RestitutionStatus.NOT_PROVABLE, ZERO, ZERO, most)
    return Amounts(stretch, days, _status(stretch, rule, claimed, most), claimed, least, most)


def _status(stretch: FeeStretch, rule: RestitutionRule, claimed: Fraction, most: Fraction) -> RestitutionStatus:
    if claimed > 0:
        return RestitutionStatus.DUE
    is_open = rule.unknown is UnknownAs.UNPROVEN and rule.kind in BY_THRESHOLD
    is_open |= rule.unknown is UnknownAs.PRO_RATA and stretch.known_s == 0
    return RestitutionStatus.NOT_PROVABLE if is_open and most > 0 else RestitutionStatus.NONE


def is_too_little_seen(stretch: FeeStretch) -> bool:
    """Return whether less of the service time is known than the terms ask for."""
    if stretch.min_coverage_pct is None or stretch.service_s == 0:
        return False
    return Fraction(stretch.known_s, stretch.service_s) < of_hundred(stretch.min_coverage_pct)


def read_as(stretch: FeeStretch, unknown: UnknownAs) -> Counted:
    """Return the seconds that count, unknown ones as that.

    As down, the unknown seconds of an outage lengthen it, and all others are one more outage.
    """
    counted = [each.counted_s for each in stretch.outages]
    if unknown is UnknownAs.PRO_RATA:
        return Counted(stretch.known_s, stretch.counted_down_s, counted)
    if unknown is not UnknownAs.AS_DOWN:
        return Counted(stretch.service_s, stretch.counted_down_s, counted)
    elsewhere_s = stretch.unknown_s - sum(each.unknown_s for each in stretch.outages)
    lengthened = [each.counted_s + each.unknown_s for each in stretch.outages]
    return Counted(stretch.service_s, stretch.counted_down_s + stretch.unknown_s, [*lengthened, max(0, elsewhere_s)])


def uncapped(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    """Return what the rule pays back of the fee for these seconds; 0 without a second."""
    return AMOUNTS[rule.kind](fee, target_pct, rule, counted) if counted.base_s > 0 else ZERO


def capped(fee: Fraction, rule: RestitutionRule, amount: Fraction) -> Fraction:
    return min(amount, fee * of_hundred(rule.cap_pct))


def of_hundred(pct: Decimal) -> Fraction:
    return Fraction(pct) / 100


def lacking(target_pct: Decimal, counted: Counted) -> Fraction:
    """Return the seconds that availability lacks of the target."""
    return max(ZERO, of_hundred(target_pct) * counted.base_s - (counted.base_s - counted.down_s))


def holding_band(rule: RestitutionRule, counted: Counted) -> Band | None:
    """Return the lowest band that availability is in, None where it is in none; a cliff is one band."""
    holding = [band for band in bands(rule) if counted.available < of_hundred(band.below_pct)]
    return holding[-1] if holding else None


def bands(rule: RestitutionRule) -> Sequence[Band]:
    if rule.below_pct is not None:
        return (Band(below_pct=rule.below_pct, share_pct=rule.share_pct or ALL),)
    return rule.bands or ()


def hours_beyond(rule: RestitutionRule, length_s: int) -> int:
    """Return the begun hours of an outage beyond what costs nothing."""
    return max(0, length_s - (rule.after_s or 0) + HOUR_S - 1) // HOUR_S


def fee_of_an_hour(fee: Fraction, rule: RestitutionRule) -> Fraction:
    return Fraction(rule.per_hour_idr or 0) if rule.per_hour_pct is None else fee * of_hundred(rule.per_hour_pct)


def _proportional(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    return fee * counted.down_s / (counted.base_s * of_hundred(rule.divisor_pct or ALL))


def _shortfall(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    return fee * lacking(target_pct, counted) / counted.base_s


def _banded(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    band = holding_band(rule, counted)
    return ZERO if band is None else fee * of_hundred(band.share_pct)


def _per_incident(fee: Fraction, target_pct: Decimal, rule: RestitutionRule, counted: Counted) -> Fraction:
    return fee_of_an_hour(fee, rule) * sum(hours_beyond(rule, length_s) for length_s in counted.outages_s)


AMOUNTS: dict[RuleKind, Callable[[Fraction, Decimal, RestitutionRule, Counted], Fraction]] = {
    RuleKind.PROPORTIONAL: _proportional,
    RuleKind.SHORTFALL: _shortfall,
    RuleKind.BANDED: _banded,
    RuleKind.PER_INCIDENT: _per_incident,
    RuleKind.CLIFF: _banded,
}
