"""A contract's terms, each in force from its day until the next: which hold when, and what they must be. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any

from app.core.errors import Fault
from app.registry.models import ContractTerms

NAMES = (
    "sla_target_pct",
    "min_outage_s",
    "excluded_causes",
    "excuses_parent",
    "service_from",
    "service_to",
    "bandwidth_down_mbps",
    "bandwidth_up_mbps",
    "monthly_fee_idr",
)

Days = tuple[date, date | None]


def in_force(terms: Sequence[ContractTerms], day: date) -> ContractTerms:
    """Before the first ones begin: the first. `terms` are in the order of their days."""
    return next((found for found in reversed(terms) if found.started_on <= day), terms[0])


def values(terms: ContractTerms) -> dict[str, Any]:
    found = {name: getattr(terms, name) for name in NAMES}
    return found | {"sla_target_pct": float(terms.sla_target_pct)}


def reach(terms: Sequence[ContractTerms], start: date, end: date | None) -> Days:
    """How long terms that begin on `start` are in force: until the next ones, or the contract's end."""
    later = [found.started_on for found in terms if found.started_on > start]
    return start, min([*later, end or date.max])


def check(wanted: Mapping[str, Any]) -> Iterator[Fault]:
    """What must hold between the fields of a contract."""
    if wanted["valid_to"] is not None and wanted["valid_to"] <= wanted["valid_from"]:
        yield Fault(
            "valid_to",
            "ends_before_start",
            "It ends before it begins",
            "valid_to is the first day on which it no longer holds",
        )
    begins, ends = wanted["service_from"], wanted["service_to"]
    if (begins is None) != (ends is None):
        missing = "service_from" if begins is None else "service_to"
        yield Fault(missing, "missing", "service_from and service_to go together", "Give both, or neither")
    elif begins is not None and ends not in {time(0)} and ends <= begins:
        yield Fault(
            "service_to",
            "bad_service_hours",
            "Service hours end before they begin",
            "Write the end of the day as 00:00; leave both out for the whole day",
        )


def check_day(effective_from: date, valid_from: date, valid_to: date | None) -> Iterator[Fault]:
    """Terms change only while the contract holds."""
    if effective_from < valid_from:
        yield Fault(
            "effective_from",
            "before_contract",
            "The contract begins on {day} only",
            "Choose a day on which it holds",
            values={"day": valid_from.isoformat()},
        )
    elif valid_to is not None and effective_from >= valid_to:
        yield Fault(
            "effective_from",
            "after_contract",
            "The contract has ended by {day}",
            "Choose a day on which it holds",
            values={"day": valid_to.isoformat()},
        )
