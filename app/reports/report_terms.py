"""The contract and its terms as a report states them. Pure."""

from typing import Any

from app.contracts import serializer
from app.contracts.rule_words import paid_back
from app.core.clock import WITA
from app.core.periods import Period
from app.registry.models import Contract, ContractTerms


def contract_fields(contract: Contract, period: Period) -> dict[str, Any]:
    """Return the fields of a ReportContract, with the terms in force in the period."""
    return {
        "id": contract.id,
        "number": contract.number,
        "provider": contract.provider.slug,
        "provider_name": contract.provider.name,
        "valid_from": contract.valid_from,
        "valid_to": contract.valid_to,
        "terms": _terms_in_force(contract, period),
    }


def _terms_in_force(contract: Contract, period: Period) -> list[dict[str, Any]]:
    low, high = (moment.astimezone(WITA).date() for moment in (period.start, period.end))
    low, high = max(low, contract.valid_from), min(high, contract.valid_to or high)
    untils = [*(each.started_on for each in contract.terms[1:]), None]
    shown = serializer.present(contract)["terms"]
    return [
        {**fields, **_fee_and_rule(terms), "terms_on": terms.started_on, "until": until}
        for terms, until, fields in zip(contract.terms, untils, shown, strict=True)
        if terms.started_on < high and (until is None or until > low)
    ]


def _fee_and_rule(terms: ContractTerms) -> dict[str, Any]:
    least = terms.min_coverage_pct
    return {
        "fee_per": terms.fee_per,
        "restitution": terms.restitution,
        "min_coverage_pct": None if least is None else float(least),
        "paid_back": [*paid_back(terms)],
    }
