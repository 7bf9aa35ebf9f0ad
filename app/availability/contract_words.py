"""Says in words of both languages what a contract counted, what it left out, and what follows. Pure."""

from collections.abc import Mapping
from decimal import Decimal

from app.availability.contract_tally import MAINTENANCE, PARENT, SHORT, ContractTally
from app.core.words import Bilingual, duration_in_words, in_words, joined, number_in_words
from app.registry.models import Cause

# Why seconds were left out, the causes in the words of GLOSSARY: translated where a verdict is told.
REASONS = {
    MAINTENANCE: "maintenance",
    SHORT: "shorter than the contract counts",
    PARENT: "parent down",
    Cause.LINK: "link",
    Cause.PROVIDER: "provider",
    Cause.POWER: "power",
    Cause.DEVICE: "device",
    Cause.UNPLUGGED: "unplugged",
    Cause.BILLING: "billing",
    Cause.QUOTA: "quota",
    Cause.WEATHER: "weather",
    Cause.VANDALISM: "vandalism",
    Cause.PLANNED: "planned works",
    Cause.MONITORING: "monitoring",
    Cause.UNCLASSIFIED: "unclassified",
}


def reason_in_words(
    tally: ContractTally, required_pct: Decimal | None, missed_by_s: int, verdict: str | None, period_s: int
) -> Bilingual:
    """Return in words why the verdict is what it is, what was left out, and how much of the period it is about."""
    sentences = [_verdict_in_words(tally, required_pct, missed_by_s, verdict), *_counted_in_words(tally)]
    if tally.covered_s != period_s:
        covered, whole = duration_in_words(tally.covered_s), duration_in_words(period_s)
        sentences.append(in_words("It covers {covered} of {whole}.", covered=covered, whole=whole))
    return joined(sentences)


def _exclusions_in_words(excluded: Mapping[str, int]) -> Bilingual:
    """Return the reasons with their durations, the longest first."""
    longest_first = sorted(excluded.items(), key=lambda reason: (-reason[1], reason[0]))
    return joined(
        (joined([in_words(REASONS[name]), duration_in_words(seconds)]) for name, seconds in longest_first), ", "
    )


def _verdict_in_words(
    tally: ContractTally, required_pct: Decimal | None, missed_by_s: int, verdict: str | None
) -> Bilingual:
    if verdict is None or required_pct is None or tally.worst_pct is None or tally.best_pct is None:
        return in_words("No verdict: not a second of service in this period.")
    worst, best, required = (number_in_words(pct) for pct in (tally.worst_pct, tally.best_pct, required_pct))
    unknown, missed = duration_in_words(tally.unknown_s), duration_in_words(missed_by_s)
    if verdict == "met":
        if tally.unknown_s == 0:
            return in_words("Met: {worst}% available; {required}% is required.", worst=worst, required=required)
        return in_words(
            "Met: at least {worst}% available, even if all of the unknown {unknown} was down; {required}% is required.",
            worst=worst,
            unknown=unknown,
            required=required,
        )
    if verdict == "missed":
        if tally.unknown_s == 0:
            return in_words(
                "Missed by {missed}: {best}% available; {required}% is required.",
                missed=missed,
                best=best,
                required=required,
            )
        return in_words(
            "Missed by {missed}: at most {best}% available, even if all of the unknown {unknown} was good; "
            "{required}% is required.",
            missed=missed,
            best=best,
            unknown=unknown,
            required=required,
        )
    return in_words(
        "Undetermined: between {worst}% and {best}% available, as {unknown} is unknown; {required}% is required.",
        worst=worst,
        best=best,
        unknown=unknown,
        required=required,
    )


def why_in_words(tally: ContractTally, compared_s: int, min_outage_s: int) -> Bilingual:
    """Return what of an outage counts, what is left out, and what nobody knows.

    `compared_s`: its proven seconds, which the terms' least duration is compared with.
    """
    if tally.service_s == 0:
        return in_words("Outside of service, or of service hours.")
    sentences = _counted_in_words(tally)
    if tally.unknown_s:
        seconds = duration_in_words(tally.unknown_s)
        sentences.append(in_words("Not seen, or contested by its device: {seconds}.", seconds=seconds))
    if tally.counted_down_s or SHORT in tally.excluded:
        proven, least = duration_in_words(compared_s), duration_in_words(min_outage_s)
        sentences.append(in_words("Proven: {proven}; outages count from {least} on.", proven=proven, least=least))
    return joined(sentences)


def _counted_in_words(tally: ContractTally) -> list[Bilingual]:
    sentences = []
    if tally.counted_down_s:
        sentences.append(in_words("Counted as down: {seconds}.", seconds=duration_in_words(tally.counted_down_s)))
    if tally.excluded:
        sentences.append(in_words("Left out: {reasons}.", reasons=_exclusions_in_words(tally.excluded)))
    return sentences
