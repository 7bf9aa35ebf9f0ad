"""A worked example of the terms' restitution rule: a month of 30 days that it pays back something of. Pure."""

from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

from app.contracts.fee_stretch import CountedOutage, FeeStretch
from app.contracts.restitution import compute_restitution
from app.contracts.restitution_amounts import bands
from app.contracts.restitution_rule import RestitutionRule, RuleKind, read
from app.core.clock import WITA
from app.core.words import Bilingual, in_words, joined
from app.registry.models import ContractTerms, FeePer

DAYS, DAY_S, HOUR_S = 30, 86_400, 3_600
FEE_IDR = 1_000_000  # where the terms name no fee of one site
PROPORTIONAL_S = 10 * HOUR_S


def example_in_words(terms: ContractTerms) -> Bilingual | None:
    """Return the arithmetic of a month that the rule pays back something of; None without a rule."""
    rule = read(terms.restitution)
    if rule is None:
        return None
    steps = compute_restitution([example_stretch(terms, rule)]).steps
    return joined([in_words("Example, a site's month of {days} days.", days=DAYS), *steps])


def example_stretch(terms: ContractTerms, rule: RestitutionRule) -> FeeStretch:
    service_s = DAYS * _service_s_a_day(terms)
    down_s = min(service_s, _down_s(terms, rule, service_s))
    has_fee = terms.fee_per is FeePer.SITE and terms.monthly_fee_idr is not None
    return FeeStretch(
        terms_on=terms.started_on,
        covered_s=DAYS * DAY_S,
        service_s=service_s,
        good_s=service_s - down_s,
        counted_down_s=down_s,
        excluded={},
        unknown_s=0,
        target_pct=Decimal(terms.sla_target_pct),
        fee=Fraction(terms.monthly_fee_idr if has_fee and terms.monthly_fee_idr else FEE_IDR),
        rule=rule,
        outages=[CountedOutage(datetime(2026, 11, 1, tzinfo=WITA), down_s)],
    )


def _service_s_a_day(terms: ContractTerms) -> int:
    opens, closes = terms.service_from, terms.service_to
    if opens is None or closes is None:
        return DAY_S
    lasts = timedelta(hours=closes.hour - opens.hour, minutes=closes.minute - opens.minute)
    return round(lasts.total_seconds()) % DAY_S or DAY_S


def _down_s(terms: ContractTerms, rule: RestitutionRule, service_s: int) -> int:
    """Return downtime that the rule pays for: an hour or more beyond the last second that costs nothing."""
    if rule.kind is RuleKind.PROPORTIONAL:
        return PROPORTIONAL_S
    if rule.kind is RuleKind.PER_INCIDENT:
        return (rule.after_s or 0) + 2 * HOUR_S + HOUR_S // 2
    limit = terms.sla_target_pct if rule.kind is RuleKind.SHORTFALL else bands(rule)[0].below_pct
    free_s = (100 - Decimal(limit)) * service_s / 100
    return int(free_s.to_integral_value(ROUND_CEILING)) + HOUR_S
