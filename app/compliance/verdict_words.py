"""A row's verdict in both languages: which parts pass, fail or stay open, and by what. Pure."""

from collections.abc import Iterator
from typing import Any

from app.compliance.row import Basis, ComplianceUnit, Speed
from app.compliance.shares import ComplianceVerdict, Doubt, PartResult
from app.core.words import Bilingual, in_words, joined, number_in_words


def verdict_in_words(unit: ComplianceUnit, verdict: ComplianceVerdict) -> Bilingual:
    return joined([_headline(verdict), _availability(unit), *_speeds(unit), _latency(unit)])


def _headline(verdict: ComplianceVerdict) -> Bilingual:
    if verdict is ComplianceVerdict.COMPLIES:
        return in_words("Complies: every part passes.")
    if verdict is ComplianceVerdict.FAILS:
        return in_words("Fails: at least one part fails.")
    return in_words("Undetermined: no part fails, but not every part is proven.")


def _availability(unit: ComplianceUnit) -> Bilingual:
    tally, stretches, judged = unit.availability
    if judged.doubt is Doubt.NO_CONTRACT:
        return in_words("Availability is undetermined: no second was counted under a contract.")
    targets = {stretch.target_pct for stretch in stretches}
    required = (
        in_words("{pct}% is required", pct=number_in_words(targets.pop()))
        if len(targets) == 1
        else in_words("each contract's own target is required")
    )
    bounds = {"worst": _pct(tally.worst_pct), "best": _pct(tally.best_pct), "required": required}
    if judged.result is PartResult.PASSES:
        return in_words("Availability passes: at least {worst}%, where {required}.", **bounds)
    if judged.result is PartResult.FAILS:
        return in_words("Availability fails: at most {best}%, where {required}.", **bounds)
    return in_words("Availability is undetermined: between {worst}% and {best}%, where {required}.", **bounds)


def _speeds(unit: ComplianceUnit) -> Iterator[Bilingual]:
    for name, direction in ((in_words("Download"), "down"), (in_words("Upload"), "up")):
        yield _speed(name, unit.speed(direction), unit)


def _speed(name: Bilingual, speed: Speed, unit: ComplianceUnit) -> Bilingual:
    method, share, judged = unit.method, speed.counts.share, speed.judged
    if judged.result is PartResult.NOT_PROMISED:
        return in_words("{name} is not judged: the contract names no speed.", name=name)
    values: dict[str, Any] = {
        "name": name,
        "passed": share.passed,
        "counted": share.counted,
        "contested": share.contested,
        "of_contract": method.speed_of_contract_pct,
        "required": method.tests_pct,
        "least": method.least_tests,
        "tested": speed.tested_sites,
        "sites": speed.of_sites,
    }
    if judged.doubt is Doubt.TOO_FEW:
        return in_words("{name} is undetermined: {counted} tests have a result, {least} are needed.", **values)
    if judged.doubt is Doubt.TOO_FEW_SITES and speed.basis is Basis.SAMPLE:
        return in_words("{name} is undetermined: only {tested} of {sites} drawn sites were tested enough.", **values)
    if judged.doubt is Doubt.TOO_FEW_SITES:
        return in_words(
            "{name} is undetermined: only {tested} of {sites} sites were tested enough, and no sample was drawn.",
            **values,
        )
    if judged.doubt is Doubt.CONTESTED:
        return in_words(
            "{name} is undetermined: {passed} of {counted} tests reached {of_contract}% of the contract, and "
            "{contested} more that ran without a result would decide it.",
            **values,
        )
    if judged.result is PartResult.PASSES:
        return in_words(
            "{name} passes: {passed} of {counted} tests reached {of_contract}% of the contract, {required}% have to.",
            **values,
        )
    return in_words(
        "{name} fails: {passed} of {counted} tests reached {of_contract}% of the contract, {required}% have to.",
        **values,
    )


def _latency(unit: ComplianceUnit) -> Bilingual:
    looks, measured, judged = unit.latency
    method, share = unit.method, looks.share
    values: dict[str, Any] = {
        "pct": _pct(share.pct),
        "limit": method.limit_ms[unit.technology],
        "required": method.looks_pct,
        "lost": _pct(_lost_pct(looks.lost, share.counted)),
        "counted": share.counted,
        "least": method.least_looks,
        "measured": measured,
        "sites": len(unit.lines),
    }
    if judged.doubt is Doubt.TOO_FEW:
        return in_words("Latency is undetermined: {counted} looks count, {least} are needed.", **values)
    if judged.doubt is Doubt.TOO_FEW_SITES:
        return in_words("Latency is undetermined: only {measured} of {sites} sites were looked at enough.", **values)
    if judged.result is PartResult.PASSES:
        return in_words(
            "Latency passes: {pct}% of looks within {limit} ms, {required}% have to be; {lost}% were lost.", **values
        )
    return in_words(
        "Latency fails: {pct}% of looks within {limit} ms, {required}% have to be; {lost}% were lost.", **values
    )


def _lost_pct(lost: int, looks: int) -> float | None:
    return 100 * lost / looks if looks else None


def _pct(value: float | None) -> Bilingual:
    return number_in_words(value or 0)
