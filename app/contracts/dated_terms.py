"""A contract's dated terms, each in force from its day until the next: which apply when, and their validation. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any

from pydantic import BaseModel

from app.contracts import restitution_rule
from app.contracts.restitution_rule import RestitutionRule
from app.core.errors import Fault
from app.registry.models import ContractTerms

FIELDS = (
    "sla_target_pct",
    "min_outage_s",
    "excluded_causes",
    "excuses_parent",
    "degraded_counts",
    "service_from",
    "service_to",
    "bandwidth_down_mbps",
    "bandwidth_up_mbps",
    "monthly_fee_idr",
    "fee_per",
    "restitution",
    "min_coverage_pct",
)

DayRange = tuple[date, date]  # the end exclusive; date.max: open-ended


def in_force(terms: Sequence[ContractTerms], day: date) -> ContractTerms:
    """Return the terms in force on that day, before all of them the first; `terms` in the order of their days."""
    return next((dated for dated in reversed(terms) if dated.started_on <= day), terms[0])


def values(terms: ContractTerms) -> dict[str, Any]:
    """Return the terms as a change is compared with them; the rule as its row keeps it."""
    fields = {name: getattr(terms, name) for name in FIELDS}
    least = terms.min_coverage_pct
    return fields | {
        "sla_target_pct": float(terms.sla_target_pct),
        "min_coverage_pct": None if least is None else float(least),
    }


def given(body: BaseModel, names: Collection[str]) -> dict[str, Any]:
    """Return these terms of a request; the rule as its row keeps it."""
    fields = {name: getattr(body, name) for name in FIELDS if name in names}
    if "restitution" in fields:
        fields["restitution"] = restitution_rule.stored(fields["restitution"])
    return fields


def days_in_force(terms: Sequence[ContractTerms], start: date, contract_end: date | None) -> DayRange:
    """Return the days on which terms that begin on `start` apply: until the next ones, or the contract's end."""
    later = [dated.started_on for dated in terms if dated.started_on > start]
    return start, min([*later, contract_end or date.max])


def check(contract: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the faults between fields of a contract and its terms."""
    if contract["valid_to"] is not None and contract["valid_to"] <= contract["valid_from"]:
        yield Fault(
            "valid_to",
            "ends_before_start",
            "The end is not after the start",
            "valid_to is the first day on which it is no longer valid",
        )
    opens, closes = contract["service_from"], contract["service_to"]
    if (opens is None) != (closes is None):
        missing = "service_from" if opens is None else "service_to"
        yield Fault(missing, "missing", "service_from and service_to go together", "Give both, or neither")
    elif opens is not None and closes not in {time(0)} and closes <= opens:
        yield Fault(
            "service_to",
            "bad_service_hours",
            "Service hours end before they begin",
            "Write the end of the day as 00:00; leave both out for the whole day",
        )
    if contract["restitution"] is not None:
        yield from restitution_rule.check(RestitutionRule.model_validate(contract["restitution"]))


def check_effective_from(effective_from: date, valid_from: date, valid_to: date | None) -> Iterator[Fault]:
    """Yield a fault unless the contract is valid on the day from which terms are to change."""
    if effective_from < valid_from:
        yield Fault(
            "effective_from",
            "before_contract",
            "The contract begins on {day}",
            "Choose a day on which it is valid",
            values={"day": valid_from.isoformat()},
        )
    elif valid_to is not None and effective_from >= valid_to:
        yield Fault(
            "effective_from",
            "after_contract",
            "The contract ends on {day}",
            "Choose a day on which it is valid",
            values={"day": valid_to.isoformat()},
        )
