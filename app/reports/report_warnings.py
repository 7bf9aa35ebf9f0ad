"""What a reader has to know beside a berita acara's figures, in both languages. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.contracts.fees import Fees
from app.contracts.restitution_amounts import RestitutionStatus
from app.contracts.rupiah import count_in_words, round_half_up, rupiah_in_words
from app.core.words import Bilingual, day_in_words, in_words, joined
from app.reports.closed_lines import ClosedLine
from app.reports.figure_schemas import ReportSite
from app.reports.paper_schemas import ReportTerms
from app.reports.report_totals import exact_fee
from app.reports.terms_record import record_in_words
from app.telemetry.disagreements import SiteDisagreement
from app.witnesses.kinds import WitnessKind
from probes.telemetry import LinkState

SPEAKERS = {
    WitnessKind.PROVIDER: in_words("the provider's own system"),
    WitnessKind.TERMINAL: in_words("the terminal or router"),
}
STATES = {LinkState.UP: in_words("up"), LinkState.DOWN: in_words("down")}
NAMED = 10  # sites that a warning names; all have it in their lines

Warnings = Iterator[dict[str, Any]]


def warnings_of(
    lines: Sequence[ReportSite],
    closed: Sequence[ClosedLine],
    codes: Sequence[str],
    terms: Sequence[ReportTerms],
    fees: Fees,
    *,
    disagreements: Sequence[SiteDisagreement] = (),
    month_end: datetime,
    simulated: bool,
) -> Warnings:
    """Yield the warnings of a month; `codes` are the sites' of `closed`, `terms` those in force."""
    if simulated:
        yield _warning("simulated", in_words("These figures rest on simulated measurements: they are of no effect."))
    yield from _of_terms(terms, month_end)
    yield from _of_sites(closed, codes)
    yield from _of_telemetry(disagreements, {line.site_id: code for line, code in zip(closed, codes, strict=True)})
    yield from _of_restitution(lines)
    yield from _of_fees(lines, fees)


def _warning(code: str, text: Bilingual) -> dict[str, Any]:
    return {"code": code, **text}


def _of_terms(terms: Sequence[ReportTerms], month_end: datetime) -> Warnings:
    for later in terms[1:]:
        text = in_words(
            "The contract's terms changed on {day}: each part is counted by its own.", day=day_in_words(later.terms_on)
        )
        yield _warning("terms_changed", text)
    for each in terms:
        if each.recorded_at is None or each.recorded_at < month_end or (record := record_in_words(each)) is None:
            continue
        text = in_words(
            "The terms from {day} were {record}: that was after the end of the month.",
            day=day_in_words(each.terms_on),
            record=record,
        )
        yield _warning("terms_recorded_later", text)


def _of_sites(closed: Sequence[ClosedLine], codes: Sequence[str]) -> Warnings:
    named = list(zip(closed, codes, strict=True))
    if gone := [code for line, code in named if line.is_gone]:
        text = in_words(
            "When the month was closed these sites stood under this contract, and they do not any more: {sites}.",
            sites=_names(gone),
        )
        yield _warning("no_longer_under_contract", text)
    kept = [(line, code) for line, code in named if not line.is_gone]
    if corrected := [code for line, code in kept if line.published is not None]:
        text = in_words(
            "Corrected since the month was closed, and told here as corrected: {sites}.", sites=_names(corrected)
        )
        other = in_words(
            "The sums of corrected sites are by their corrections: the month's list of verdicts shows them as closed."
        )
        yield _warning("corrected", joined([text, other]))
    for line, code in kept:
        listed_s = sum(each["counted_s"] for each in line.outages)
        if listed_s != line.figures["counted_down_s"]:
            text = in_words(
                "{site}: its outages as known now add up to {listed} s, and {counted} s are counted.",
                site=code,
                listed=count_in_words(listed_s),
                counted=count_in_words(line.figures["counted_down_s"]),
            )
            yield _warning("outages_differ", text)


def _of_telemetry(disagreements: Sequence[SiteDisagreement], codes: Mapping[int, str]) -> Warnings:
    for each in sorted(disagreements, key=lambda one: (codes.get(one.site_id, ""), one.witness, one.said)):
        text = in_words(
            "{site}: {witness} says {said} for {seconds} s of a time measured as {measured}. What was measured counts.",
            site=codes.get(each.site_id, ""),
            witness=SPEAKERS[each.witness],
            said=STATES[each.said],
            measured=STATES[LinkState.UP if each.said is LinkState.DOWN else LinkState.DOWN],
            seconds=count_in_words(each.seconds),
        )
        yield _warning("telemetry_disagrees", text)


def _of_restitution(lines: Sequence[ReportSite]) -> Warnings:
    if unproven := [line.code for line in lines if line.restitution.status is RestitutionStatus.NOT_PROVABLE]:
        text = in_words(
            "Too little was measured to claim restitution for {count} sites: {sites}.",
            count=len(unproven),
            sites=_names(unproven),
        )
        yield _warning("not_provable", text)
    if any(line.restitution.status is RestitutionStatus.NO_RULE for line in lines):
        text = in_words("The contract has no rule of restitution: none is computed where there is none.")
        yield _warning("no_rule", text)


def _of_fees(lines: Sequence[ReportSite], fees: Fees) -> Warnings:
    if without := [line.code for line in lines if line.fee_idr is None]:
        text = in_words("No fee is known for {count} sites: {sites}.", count=len(without), sites=_names(without))
        yield _warning("no_fee", text)
    with_fee = Counter(line.code for line in lines if line.fee_idr)
    if twice := [code for code, count in with_fee.items() if count > 1]:
        text = in_words(
            "Two links of the same site under this contract, with a fee for each: {sites}.", sites=_names(twice)
        )
        yield _warning("fee_per_link", text)
    if idle := [line for line in lines if line.service_s == 0 and line.fee_idr]:
        text = in_words(
            "Without a second of service time, with {amount} of fees in the sum: {sites}.",
            amount=rupiah_in_words(sum(line.fee_idr or 0 for line in idle)),
            sites=_names([line.code for line in idle]),
        )
        yield _warning("fee_without_service", text)
    if fees.unshared:
        text = in_words(
            "{amount} of the contract's fee fall on days on which no site shares it: they are in no line.",
            amount=rupiah_in_words(round_half_up(fees.unshared)),
        )
        yield _warning("fee_unshared", text)
    exact, rounded = exact_fee(lines), sum(line.fee_idr or 0 for line in lines)
    if exact is not None and round_half_up(exact) != rounded:
        text = in_words(
            "The fees of the lines are rounded: they add up to {lines}, the exact sum is {sum}.",
            lines=rupiah_in_words(rounded),
            sum=rupiah_in_words(round_half_up(exact)),
        )
        yield _warning("fees_rounded", text)


def _names(codes: Sequence[str]) -> Bilingual:
    named: Bilingual = dict.fromkeys(("id", "en"), ", ".join(codes[:NAMED]))
    if len(codes) <= NAMED:
        return named
    return joined([named, in_words("and {count} more", count=len(codes) - NAMED)])
