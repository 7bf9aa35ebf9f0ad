"""Turns what was counted of a site under its contracts into verdicts, in figures and in words. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from app.availability import contract_tally
from app.availability.contract_tally import ContractTally, Stretch
from app.availability.contract_words import reason_in_words
from app.availability.intervals import Interval, IntervalMap, clip, fill_gaps
from app.availability.policy import ContractPolicy, SitePolicies, TermsKey
from app.core.clock import from_slot, to_slot
from app.core.periods import Period
from app.registry.models import LinkRole


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
    required_pct = _required_pct(stretches, verdict)
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
        **_required(stretches, required_pct),
        "verdict": verdict,
        "reason": reason_in_words(whole, required_pct, contract_tally.missed_by_s(stretches), verdict, period_s),
        "stretches": [_stretch(*of_terms) for of_terms in counted] if len(counted) > 1 else [],
    }


def _stretch(interval: Interval[ContractPolicy], tally: ContractTally) -> dict[str, Any]:
    start, end, policy = interval
    stretches = [Stretch(policy.sla_target_pct, tally)]
    verdict = contract_tally.verdict(stretches)
    return {
        "from": from_slot(start),
        "to": from_slot(end),
        "terms_on": policy.terms.terms_on,
        "covered_s": tally.covered_s,
        **_figures(tally),
        "target_pct": float(policy.sla_target_pct),
        **_required(stretches, _required_pct(stretches, verdict)),
        "verdict": verdict,
    }


def _figures(tally: ContractTally) -> dict[str, Any]:
    names = ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s", "availability_pct")
    figures = {name: getattr(tally, name) for name in (*names, "worst_pct", "best_pct")}
    return figures | {"excluded": dict(sorted(tally.excluded.items()))}


def _required(stretches: Sequence[Stretch], required_pct: Decimal | None) -> dict[str, Any]:
    return {
        "required_pct": None if required_pct is None else float(required_pct),
        "missed_by_s": contract_tally.missed_by_s(stretches),
    }


def _required_pct(stretches: Sequence[Stretch], verdict: str | None) -> Decimal | None:
    """Return what all terms together require, rounded down as all percentages are.

    It is the same whatever the verdict. Only where the best that was missed would read the same is it rounded up.
    """
    service_s = sum(stretch.tally.service_s for stretch in stretches)
    if service_s == 0:
        return None
    kept_s = service_s - sum(stretch.tally.counted_down_s for stretch in stretches)
    required_s, decimals = contract_tally.required_s(stretches), Decimal("0.001")
    best, required = (
        (100 * each / service_s).quantize(decimals, ROUND_FLOOR) for each in (Decimal(kept_s), required_s)
    )
    if verdict == "missed" and best == required:
        return (100 * required_s / service_s).quantize(decimals, ROUND_CEILING)
    return required
