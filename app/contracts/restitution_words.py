"""The arithmetic of a restitution, written out step by step in both languages. Pure."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from app.availability.percent import percent
from app.contracts.restitution_amounts import (
    Amounts,
    Counted,
    RestitutionStatus,
    bands,
    capped,
    fee_of_an_hour,
    holding_band,
    hours_beyond,
    is_too_little_seen,
    lacking,
    read_as,
    uncapped,
)
from app.contracts.restitution_rule import RestitutionRule, RuleKind, UnknownAs
from app.contracts.rupiah import count_in_words, round_half_up, rupiah_in_words
from app.core.words import Bilingual, day_in_words, duration_in_words, in_words, joined, number_in_words

UNKNOWN_AS = {
    UnknownAs.UNPROVEN: "Only what is proven is claimed: the unknown {unknown} s count as available here.",
    UnknownAs.AS_GOOD: "The unknown {unknown} s count as available.",
    UnknownAs.AS_DOWN: "The unknown {unknown} s count as down: {down} s + {unknown} s = {sum} s.",
    UnknownAs.PRO_RATA: "The unknown {unknown} s count like the others: of {service} s {base} s are known.",
}


def steps_in_words(amounts: Sequence[Amounts]) -> Iterator[Bilingual]:
    """Yield the steps of each part, then their sum and its rounding, and its bounds where anything is unknown."""
    for each in amounts:
        if len(amounts) > 1:
            days = joined((day_in_words(day) for day in each.terms_on), ", ")
            yield in_words("Under the terms of {days}:", days=days)
        yield from _steps(each)
    claimed = sum((each.claimed for each in amounts), Fraction(0))
    exact, rounded = rupiah_in_words(claimed), rupiah_in_words(round_half_up(claimed))
    if sum(each.claimed > 0 for each in amounts) > 1:
        yield in_words("Together {exact}.", exact=exact)
    if claimed.denominator > 1:
        yield in_words("Rounded to whole rupiah, half up: {rounded}.", rounded=rounded)
    least, most = (sum((getattr(each, name) for each in amounts), Fraction(0)) for name in ("least", "most"))
    if most > 0 and any(each.stretch.unknown_s for each in amounts):
        yield in_words(
            "With all unknown time good it would be {least}, with all of it down {most}.",
            least=rupiah_in_words(round_half_up(least)),
            most=rupiah_in_words(round_half_up(most)),
        )


def _steps(amounts: Amounts) -> Iterator[Bilingual]:
    stretch, rule, fee = amounts.stretch, amounts.stretch.rule, amounts.stretch.fee
    if rule is None:
        yield in_words("No restitution rule is in force: nothing is computed.")
        return
    if fee is None:
        yield in_words("No fee is known: nothing is computed.")
        return
    yield in_words(
        "Fee {fee}; service time {service} s, of which {down} s count as down and {unknown} s are unknown.",
        fee=rupiah_in_words(fee),
        service=count_in_words(stretch.service_s),
        down=count_in_words(stretch.counted_down_s),
        unknown=count_in_words(stretch.unknown_s),
    )
    if stretch.service_s == 0:
        yield in_words("Not a second of service: nothing is due.")
        return
    if is_too_little_seen(stretch):
        yield in_words(
            "Only {coverage}% of the service time is known, and the contract asks for {least}%: nothing can be proven, "
            "and nothing is claimed.",
            coverage=number_in_words(percent(stretch.known_s, stretch.service_s) or 0),
            least=number_in_words(stretch.min_coverage_pct or 0),
        )
        return
    yield from _claim(amounts, rule, fee)


def _claim(amounts: Amounts, rule: RestitutionRule, fee: Fraction) -> Iterator[Bilingual]:
    stretch, counted = amounts.stretch, read_as(amounts.stretch, rule.unknown)
    if stretch.unknown_s:
        yield in_words(
            UNKNOWN_AS[rule.unknown],
            unknown=count_in_words(stretch.unknown_s),
            down=count_in_words(stretch.counted_down_s),
            sum=count_in_words(stretch.counted_down_s + stretch.unknown_s),
            service=count_in_words(stretch.service_s),
            base=count_in_words(stretch.known_s),
        )
    if counted.base_s == 0:
        yield in_words("Nothing is known: nothing can be proven, and nothing is claimed.")
        return
    yield from FORMULAS[rule.kind](fee, amounts, rule, counted)
    whole = uncapped(fee, stretch.target_pct, rule, counted)
    if (most := capped(fee, rule, whole)) < whole:
        cap = number_in_words(rule.cap_pct)
        yield in_words("At most {cap}% of the fee: {amount}.", cap=cap, amount=rupiah_in_words(most))
    if amounts.status is RestitutionStatus.NOT_PROVABLE:
        yield in_words("What the unknown time would make of it is not provable: nothing is claimed.")


def _proportional(fee: Fraction, amounts: Amounts, rule: RestitutionRule, counted: Counted) -> Iterator[Bilingual]:
    figures = {
        "fee": rupiah_in_words(fee),
        "down": count_in_words(counted.down_s),
        "base": count_in_words(counted.base_s),
        "amount": rupiah_in_words(uncapped(fee, amounts.stretch.target_pct, rule, counted)),
    }
    if rule.divisor_pct is None:
        yield in_words("{fee} × {down} s ÷ {base} s = {amount}.", **figures)
    else:
        divisor = number_in_words(rule.divisor_pct)
        yield in_words("{fee} × {down} s ÷ ({base} s × {divisor}%) = {amount}.", divisor=divisor, **figures)


def _shortfall(fee: Fraction, amounts: Amounts, rule: RestitutionRule, counted: Counted) -> Iterator[Bilingual]:
    target_pct = amounts.stretch.target_pct
    yield _available(counted)
    short = lacking(target_pct, counted)
    if short == 0:
        yield in_words("Not below {limit}%: nothing is due.", limit=number_in_words(target_pct))
        return
    yield in_words(
        "{target}% of {base} s are {required} s: {short} s are lacking.",
        target=number_in_words(target_pct),
        base=count_in_words(counted.base_s),
        required=count_in_words(counted.base_s - counted.down_s + short, 5),
        short=count_in_words(short, 5),
    )
    yield in_words(
        "{fee} × {down} s ÷ {base} s = {amount}.",
        fee=rupiah_in_words(fee),
        down=count_in_words(short, 5),
        base=count_in_words(counted.base_s),
        amount=rupiah_in_words(uncapped(fee, target_pct, rule, counted)),
    )


def _banded(fee: Fraction, amounts: Amounts, rule: RestitutionRule, counted: Counted) -> Iterator[Bilingual]:
    yield _available(counted)
    band = holding_band(rule, counted)
    if band is None:
        yield in_words("Not below {limit}%: nothing is due.", limit=number_in_words(bands(rule)[0].below_pct))
        return
    yield in_words(
        "Below {limit}%: {share}% × {fee} = {amount}.",
        limit=number_in_words(band.below_pct),
        share=number_in_words(band.share_pct),
        fee=rupiah_in_words(fee),
        amount=rupiah_in_words(uncapped(fee, amounts.stretch.target_pct, rule, counted)),
    )


def _per_incident(fee: Fraction, amounts: Amounts, rule: RestitutionRule, counted: Counted) -> Iterator[Bilingual]:
    hours = [hours for length_s in counted.outages_s if (hours := hours_beyond(rule, length_s))]
    after = duration_in_words(rule.after_s or 0)
    if not hours:
        yield in_words("No outage counts longer than {after}: nothing is due.", after=after)
        return
    yield in_words(
        "Outages that count longer than {after}: {count}, with {hours} begun hours beyond it.",
        after=after,
        count=len(hours),
        hours=count_in_words(sum(hours)),
    )
    figures = {
        "hours": count_in_words(sum(hours)),
        "hour": rupiah_in_words(fee_of_an_hour(fee, rule)),
        "amount": rupiah_in_words(uncapped(fee, amounts.stretch.target_pct, rule, counted)),
    }
    if rule.per_hour_pct is None:
        yield in_words("{hours} × {hour} = {amount}.", **figures)
    else:
        share = number_in_words(rule.per_hour_pct)
        yield in_words("{hours} × {share}% × {fee} = {amount}.", share=share, fee=rupiah_in_words(fee), **figures)


def _available(counted: Counted) -> Bilingual:
    return in_words(
        "Available: ({base} s − {down} s) ÷ {base} s = {pct}%.",
        base=count_in_words(counted.base_s),
        down=count_in_words(counted.down_s),
        pct=number_in_words(percent(counted.base_s - counted.down_s, counted.base_s) or 0),
    )


FORMULAS: dict[RuleKind, Callable[[Fraction, Amounts, RestitutionRule, Counted], Iterator[Bilingual]]] = {
    RuleKind.PROPORTIONAL: _proportional,
    RuleKind.SHORTFALL: _shortfall,
    RuleKind.BANDED: _banded,
    RuleKind.PER_INCIDENT: _per_incident,
    RuleKind.CLIFF: _banded,
}
