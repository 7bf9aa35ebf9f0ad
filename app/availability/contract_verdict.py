"""Turns what was counted of a site under its contracts into verdicts, in figures and in words. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from app.availability import contract_tally
from app.availability.contract_tally import MAINTENANCE, PARENT, SHORT, ContractTally, Stretch
from app.availability.intervals import Interval, IntervalMap, clip, fill_gaps
from app.availability.policy import ContractPolicy, SitePolicies, TermsKey
from app.core.clock import from_slot, to_slot
from app.core.periods import Period
from app.core.words import Bilingual, duration_in_words, in_words, joined, number_in_words
from app.registry.models import Cause, LinkRole

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


class ContractName(NamedTuple):
    """How answers name a contract; `provider` is its slug."""

    id: int
    number: str
    provider: str


def contract_fields(
    policies: SitePolicies,
    tallies: Mapping[TermsKey, ContractTally],
    names: Mapping[int, ContractName],
    period: Period,
) -> dict[str, Any]:
    """Return the contract's fields of a site's uptime row.

    `contract` and its verdict are those of the one contract that the site was under: the primary link's, where there is
    none the backup's. They are None if several followed each other. `contracts` lists all if there are several.
    """
    verdicts = contract_verdicts(policies, tallies, names, period)
    main = _main_contracts(policies, period)
    own = [verdict for verdict in verdicts if (verdict["contract"]["id"], verdict["link_role"]) in main]
    contract = own[0] if len(own) == 1 else None
    return {
        "sla_target_pct": None if contract is None else contract["target_pct"],
        "sla_verdict": None if contract is None else contract["verdict"],
        "contract": contract,
        "contracts": verdicts if len(verdicts) > 1 else [],
    }


def visible_policies(policies: SitePolicies, names: Mapping[int, ContractName]) -> SitePolicies:
    """Return what is in force of these contracts alone."""
    return [[dated for dated in of_role if dated[2].terms.contract_id in names] for of_role in policies]


def hide_contracts(row: Mapping[str, Any], *, of_others_than: str) -> dict[str, Any]:
    """Return a stored uptime row without what it says of other providers' contracts."""
    contract, contracts = row.get("contract"), row.get("contracts", [])
    own = [verdict for verdict in contracts if verdict["contract"]["provider"] == of_others_than]
    shown = {**row, "contracts": own}
    is_own = len(own) == len(contracts) if contract is None else contract["contract"]["provider"] == of_others_than
    if not is_own:
        shown |= dict.fromkeys(("contract", "sla_target_pct", "sla_verdict", "countable_down_s"))
    if row.get("correction") is not None:
        shown["correction"] = hide_contracts(row["correction"], of_others_than=of_others_than)
    return shown


def contract_verdicts(
    policies: SitePolicies,
    tallies: Mapping[TermsKey, ContractTally],
    names: Mapping[int, ContractName],
    period: Period,
) -> list[dict[str, Any]]:
    """Return the verdict of each contract that the site was under in the period: the primary link's first, by time."""
    stretches: dict[tuple[LinkRole, int], dict[TermsKey, Interval[ContractPolicy]]] = defaultdict(dict)
    for of_role in policies:
        for start, end, policy in clip(of_role, to_slot(period.start), to_slot(period.end)):
            of_contract = stretches[policy.terms.link_role, policy.terms.contract_id]
            start, _, _ = of_contract.get(policy.terms, (start, end, policy))
            of_contract[policy.terms] = start, end, policy
    return [
        _verdict(
            [(interval, tallies.get(terms, ContractTally())) for terms, interval in of_contract.items()],
            names[contract_id],
            role,
            period,
        )
        for (role, contract_id), of_contract in stretches.items()
    ]


def _main_contracts(policies: SitePolicies, period: Period) -> set[tuple[int, LinkRole]]:
    """Return the contracts that were the site's own at some second: of two at a time, the primary link's."""
    own: IntervalMap[ContractPolicy] = []
    for of_role in policies:
        own = fill_gaps(own, of_role)
    in_force = clip(own, to_slot(period.start), to_slot(period.end))
    return {(policy.terms.contract_id, policy.terms.link_role) for _, _, policy in in_force}


def _verdict(
    counted: Sequence[tuple[Interval[ContractPolicy], ContractTally]],
    name: ContractName,
    link_role: LinkRole,
    period: Period,
) -> dict[str, Any]:
    whole = ContractTally()
    for _, tally in counted:
        whole.merge(tally)
    stretches = [Stretch(policy.sla_target_pct, tally) for (_, _, policy), tally in counted]
    targets = {stretch.target_pct for stretch in stretches}
    verdict = contract_tally.verdict(stretches)
    period_s = to_slot(period.end) - to_slot(period.start)
    return {
        "contract": name._asdict(),
        "link_role": link_role,
        "covered": {
            "from": from_slot(min(start for (start, _, _), _ in counted)),
            "to": from_slot(max(end for (_, end, _), _ in counted)),
            "seconds": whole.covered_s,
        },
        "whole_period": whole.covered_s == period_s,
        **_figures(whole),
        "target_pct": float(targets.pop()) if len(targets) == 1 else None,
        "verdict": verdict,
        "reason": reason(whole, _required_pct(stretches, verdict), verdict, period_s),
        "stretches": [_stretch(*of_terms) for of_terms in counted] if len(counted) > 1 else [],
    }


def _stretch(interval: Interval[ContractPolicy], tally: ContractTally) -> dict[str, Any]:
    start, end, policy = interval
    return {
        "from": from_slot(start),
        "to": from_slot(end),
        "terms_on": policy.terms.terms_on,
        "covered_s": tally.covered_s,
        **_figures(tally),
        "target_pct": float(policy.sla_target_pct),
        "verdict": contract_tally.verdict([Stretch(policy.sla_target_pct, tally)]),
    }


def _figures(tally: ContractTally) -> dict[str, Any]:
    names = ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s", "availability_pct")
    figures = {name: getattr(tally, name) for name in (*names, "worst_pct", "best_pct")}
    return figures | {"excluded": dict(sorted(tally.excluded.items()))}


def _required_pct(stretches: Sequence[Stretch], verdict: str | None) -> Decimal:
    """Return what all terms together require, rounded so that it does not contradict the verdict."""
    service_s = sum(stretch.tally.service_s for stretch in stretches)
    needed = sum((stretch.target_pct * stretch.tally.service_s for stretch in stretches), Decimal(0))
    return (needed / max(service_s, 1)).quantize(
        Decimal("0.001"), ROUND_CEILING if verdict == "missed" else ROUND_FLOOR
    )


def reason(tally: ContractTally, required_pct: Decimal, verdict: str | None, period_s: int) -> Bilingual:
    """Return in words why the verdict is what it is, what was left out, and how much of the period it is about."""
    sentences = [_verdict_in_words(tally, required_pct, verdict)]
    if tally.counted_down_s:
        sentences.append(in_words("Counted as down: {seconds}.", seconds=duration_in_words(tally.counted_down_s)))
    if tally.excluded:
        sentences.append(in_words("Left out: {reasons}.", reasons=exclusions_in_words(tally.excluded)))
    if tally.covered_s != period_s:
        covered, whole = duration_in_words(tally.covered_s), duration_in_words(period_s)
        sentences.append(in_words("It covers {covered} of {whole}.", covered=covered, whole=whole))
    return joined(sentences)


def exclusions_in_words(excluded: Mapping[str, int]) -> Bilingual:
    """Return the reasons with their durations, the longest first."""
    longest_first = sorted(excluded.items(), key=lambda reason: (-reason[1], reason[0]))
    return joined(
        (joined([in_words(REASONS[name]), duration_in_words(seconds)]) for name, seconds in longest_first), ", "
    )


def _verdict_in_words(tally: ContractTally, required_pct: Decimal, verdict: str | None) -> Bilingual:
    if verdict is None or tally.worst_pct is None or tally.best_pct is None:
        return in_words("No verdict: not a second of service in this period.")
    worst, best, required = (number_in_words(pct) for pct in (tally.worst_pct, tally.best_pct, required_pct))
    unknown = duration_in_words(tally.unknown_s)
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
            return in_words("Missed: {best}% available; {required}% is required.", best=best, required=required)
        return in_words(
            "Missed: at most {best}% available, even if all of the unknown {unknown} was good; "
            "{required}% is required.",
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
