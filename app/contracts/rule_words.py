"""What a contract's terms say of the fee and of what is paid back, in words of both languages. Pure."""

from collections.abc import Iterator

from app.contracts.restitution_amounts import bands
from app.contracts.restitution_rule import RestitutionRule, RuleKind, UnknownAs, read
from app.contracts.rupiah import rupiah_in_words
from app.core.words import Bilingual, duration_in_words, in_words, number_in_words
from app.registry.models import ContractTerms, FeePer

UNKNOWN_AS = {
    UnknownAs.UNPROVEN: "Unknown time: only what is proven is claimed",
    UnknownAs.AS_GOOD: "Unknown time counts as available",
    UnknownAs.AS_DOWN: "Unknown time counts as down",
    UnknownAs.PRO_RATA: "Unknown time counts like the time that is known",
}


def paid_back(terms: ContractTerms) -> Iterator[Bilingual]:
    """Yield whose the fee is, how restitution is computed, and what is asked for before anything is claimed."""
    if terms.monthly_fee_idr is not None:
        fee = rupiah_in_words(terms.monthly_fee_idr)
        if terms.fee_per is FeePer.SITE:
            yield in_words("Fee a month: {fee} for each site", fee=fee)
        else:
            yield in_words("Fee a month: {fee} for the contract, shared by its sites by their days", fee=fee)
    rule = read(terms.restitution)
    if rule is None:
        yield in_words("No restitution rule: nothing is computed")
        return
    yield from rule_in_words(rule)
    if terms.min_coverage_pct is not None:
        least = number_in_words(terms.min_coverage_pct)
        yield in_words("With less than {least}% of the service time known, nothing is claimed", least=least)


def rule_in_words(rule: RestitutionRule) -> Iterator[Bilingual]:
    """Yield how the rule computes, its cap where it has one, and what unknown time counts as."""
    yield from _formula(rule)
    if rule.cap_pct < 100:
        yield in_words("Restitution of at most {cap}% of the fee", cap=number_in_words(rule.cap_pct))
    yield in_words(UNKNOWN_AS[rule.unknown])


def _formula(rule: RestitutionRule) -> Iterator[Bilingual]:
    if rule.kind is RuleKind.PROPORTIONAL:
        if rule.divisor_pct is None:
            yield in_words("Restitution: fee × seconds counted as down ÷ service seconds")
        else:
            divisor = number_in_words(rule.divisor_pct)
            yield in_words(
                "Restitution: fee × seconds counted as down ÷ ({divisor}% of the service seconds)", divisor=divisor
            )
    elif rule.kind is RuleKind.SHORTFALL:
        yield in_words("Restitution: fee × what availability lacks of the target")
    elif rule.kind is RuleKind.PER_INCIDENT:
        after = duration_in_words(rule.after_s or 0)
        if rule.per_hour_pct is None:
            hour = rupiah_in_words(rule.per_hour_idr or 0)
            yield in_words(
                "Restitution for each begun hour of an outage beyond {after}: {hour}", after=after, hour=hour
            )
        else:
            share = number_in_words(rule.per_hour_pct)
            yield in_words(
                "Restitution for each begun hour of an outage beyond {after}: {share}% of the fee of the days that "
                "these terms cover",
                after=after,
                share=share,
            )
    for band in bands(rule):
        yield in_words(
            "Restitution below {limit}% availability: {share}% of the fee",
            limit=number_in_words(band.below_pct),
            share=number_in_words(band.share_pct),
        )
