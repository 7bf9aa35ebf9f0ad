"""What 24 hours of a line prove: each part meets what was promised, fails it, or it cannot be said. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.certificates.method import LEAST_COVERAGE_PCT, METHOD
from app.compliance.shares import PartResult, Share
from app.core.words import Bilingual, duration_in_words, in_words, joined, number_in_words


class CertificateResult(StrEnum):
    """`meets`; `fails`; `inconclusive`: too little was measured of this part, or what is missing would decide it;
    `not_provable`: too much of the 24 hours is unknown, or the line was not the same all of the time; `not_judged`:
    nothing was promised.
    """

    MEETS = "meets"
    FAILS = "fails"
    INCONCLUSIVE = "inconclusive"
    NOT_PROVABLE = "not_provable"
    NOT_JUDGED = "not_judged"


class Obstacle(StrEnum):
    """Why nothing is proven of the 24 hours.

    `coverage`: less than the method's least coverage is known; `out_of_service`: the site was not in service all of the
    time; `line_changed`: its provider, technology or village changed.
    """

    COVERAGE = "coverage"
    OUT_OF_SERVICE = "out_of_service"
    LINE_CHANGED = "line_changed"


@dataclass(frozen=True, slots=True)
class CertificateVerdict:
    """A part's result, with why in words."""

    result: CertificateResult
    reason: Bilingual


OF_SHARE = {
    PartResult.PASSES: CertificateResult.MEETS,
    PartResult.FAILS: CertificateResult.FAILS,
    PartResult.UNDETERMINED: CertificateResult.INCONCLUSIVE,
}
OF_CONTRACT = {
    "met": CertificateResult.MEETS,
    "missed": CertificateResult.FAILS,
    "undetermined": CertificateResult.INCONCLUSIVE,
    None: CertificateResult.INCONCLUSIVE,
}


def find_obstacles(seconds: Mapping[str, int], coverage_pct: float | None, *, changed: bool) -> list[Obstacle]:
    obstacles = [Obstacle.OUT_OF_SERVICE] if seconds["inactive"] else []
    if changed:
        obstacles.append(Obstacle.LINE_CHANGED)
    if coverage_pct is None or coverage_pct < LEAST_COVERAGE_PCT:
        obstacles.append(Obstacle.COVERAGE)
    return obstacles


def obstacles_in_words(obstacles: Collection[Obstacle], seconds: Mapping[str, int], pct: float | None) -> Bilingual:
    """Return why nothing is proven; empty texts of no obstacles."""
    said = {
        Obstacle.OUT_OF_SERVICE: in_words(
            "Not provable: the site was out of service for {time}.", time=duration_in_words(seconds["inactive"])
        ),
        Obstacle.LINE_CHANGED: in_words("Not provable: provider, technology or village changed within the 24 hours."),
        Obstacle.COVERAGE: in_words(
            "Not provable: {pct}% of the time is known, at least {least}% has to be.",
            pct=number_in_words(pct or 0),
            least=LEAST_COVERAGE_PCT,
        ),
    }
    return joined([said[each] for each in obstacles])


def judge_availability(contract: Mapping[str, Any] | None) -> CertificateVerdict:
    """Judge by the verdict of the one contract that the line was under (`ContractVerdict`)."""
    if contract is None:
        reason = in_words("Not judged: the line was not under one contract of its provider.")
        return CertificateVerdict(CertificateResult.NOT_JUDGED, reason)
    return CertificateVerdict(OF_CONTRACT[contract["verdict"]], contract["reason"])


def judge_latency(share: Share, lost: int, limit_ms: int) -> CertificateVerdict:
    values: dict[str, Any] = {
        "pct": number_in_words(share.pct or 0),
        "counted": share.counted,
        "limit": limit_ms,
        "lost": lost,
        "required": METHOD.looks_pct,
        "least": METHOD.least_looks_of_site,
    }
    if share.counted < METHOD.least_looks_of_site:
        reason = in_words("Inconclusive: {counted} looks count, {least} are needed.", **values)
        return CertificateVerdict(CertificateResult.INCONCLUSIVE, reason)
    result = OF_SHARE[share.judge(METHOD.looks_pct)]
    headline = in_words("Meets it:") if result is CertificateResult.MEETS else in_words("Fails it:")
    reason = in_words(
        "{headline} {pct}% of {counted} looks within {limit} ms, {required}% have to be; {lost} were lost.",
        headline=headline,
        **values,
    )
    return CertificateVerdict(result, reason)


def judge_speed(share: Share, promised_mbps: float | None) -> CertificateVerdict:
    """Judge a direction; `promised_mbps`: the contract's speed in it."""
    if promised_mbps is None:
        reason = in_words("Not judged: the contract names no speed in this direction.")
        return CertificateVerdict(CertificateResult.NOT_JUDGED, reason)
    values: dict[str, Any] = {
        "passed": share.passed,
        "counted": share.counted,
        "contested": share.contested,
        "of_contract": METHOD.speed_of_contract_pct,
        "mbps": number_in_words(promised_mbps),
        "required": METHOD.tests_pct,
        "least": METHOD.least_tests_of_site,
    }
    if share.counted < METHOD.least_tests_of_site:
        reason = in_words("Inconclusive: {counted} tests have a result, {least} are needed.", **values)
        return CertificateVerdict(CertificateResult.INCONCLUSIVE, reason)
    result = OF_SHARE[share.judge(METHOD.tests_pct)]
    if result is CertificateResult.INCONCLUSIVE:
        reason = in_words(
            "Inconclusive: {passed} of {counted} tests reached {of_contract}% of {mbps} Mbps, and {contested} more "
            "that ran without a result would decide it.",
            **values,
        )
        return CertificateVerdict(result, reason)
    headline = in_words("Meets it:") if result is CertificateResult.MEETS else in_words("Fails it:")
    reason = in_words(
        "{headline} {passed} of {counted} tests reached {of_contract}% of {mbps} Mbps, {required}% have to.",
        headline=headline,
        **values,
    )
    return CertificateVerdict(result, reason)
