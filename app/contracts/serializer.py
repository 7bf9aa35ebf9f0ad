"""A contract as answers show it, with what follows from its terms in words."""

from typing import Any

from app.contracts import dated_terms, restitution_rule
from app.contracts.left_out import DEFAULTED, left_out
from app.contracts.restitution_example import example_in_words
from app.contracts.rule_words import paid_back
from app.contracts.schemas import ContractIn
from app.core.clock import today
from app.registry.models import Contract, ContractTerms

RECORDED = ("recorded_at", "recorded_by", "recorded_because")


def present_created(contract: Contract, body: ContractIn) -> dict[str, Any]:
    """Return the fields of a ContractCreated."""
    return present(contract) | {"defaulted": [name for name in DEFAULTED if name not in body.model_fields_set]}


def present(contract: Contract) -> dict[str, Any]:
    out = {
        "id": contract.id,
        "number": contract.number,
        "provider": contract.provider.slug,
        "valid_from": contract.valid_from,
        "valid_to": contract.valid_to,
        "version": contract.version,
        "created_at": contract.created_at,
    }
    history = [
        {"started_on": terms.started_on, **{name: getattr(terms, name) for name in RECORDED}, **_term_fields(terms)}
        for terms in contract.terms
    ]
    in_force = dated_terms.in_force(contract.terms, today())
    return out | _term_fields(in_force) | {"restitution_example": example_in_words(in_force), "terms": history}


def _term_fields(terms: ContractTerms) -> dict[str, Any]:
    fields = dated_terms.values(terms)
    hours = {name: fields[name] and f"{fields[name]:%H:%M}" for name in ("service_from", "service_to")}
    rule = {"restitution": restitution_rule.presented(terms.restitution)}
    return fields | hours | rule | {"leaves_out": [*left_out(terms)], "paid_back": [*paid_back(terms)]}
