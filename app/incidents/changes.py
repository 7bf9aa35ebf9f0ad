"""What a patch changes in an incident, and what speaks against it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.core.clock import to_wita
from app.core.errors import Fault
from app.incidents.members import Member
from app.incidents.models import Incident, IncidentStatus, jsonable

CLOCK_SKEW = timedelta(seconds=5)  # allowed to the caller's clock


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """The columns of an incident that get another value; none where all are as wanted already."""

    incident: Incident
    members: Sequence[Member]
    values: Mapping[str, Any]
    before: Mapping[str, Any]  # this and `after`: as JSON types
    after: Mapping[str, Any]

    @property
    def sets_cause(self) -> bool:
        return not self.values.keys().isdisjoint({"cause", "cause_confirmed_by"})


def plan_change(
    incident: Incident, members: Sequence[Member], patch: Mapping[str, Any], *, by: str, now: datetime
) -> IncidentChange:
    """Return what the patched fields change, and who then acknowledged the incident or confirmed its cause."""
    wanted = dict(patch)
    if patch.get("status", incident.status) is not incident.status:
        acknowledged = patch["status"] is IncidentStatus.ACKNOWLEDGED
        wanted |= {
            "acknowledged_at": now if acknowledged else None,
            "acknowledged_by": by if acknowledged else None,
        }
    if "cause" in patch:
        wanted["cause_confirmed_by"] = by
    values = {name: value for name, value in wanted.items() if getattr(incident, name) != value}
    before = {name: jsonable(getattr(incident, name)) for name in values}
    return IncidentChange(incident, members, values, before, {name: jsonable(values[name]) for name in values})


def find_faults(incident: Incident, patch: Mapping[str, Any], now: datetime) -> Iterator[Fault]:
    values = {
        "id": incident.id,
        "into": incident.merged_into,
        "ended_at": f"{to_wita(incident.ended_at):%Y-%m-%d %H:%M} WITA" if incident.ended_at else None,
    }
    if "status" in patch and patch["status"] is not incident.status:
        yield from _status_faults(incident, patch["status"], values)
    if "cause" in patch and incident.status is IncidentStatus.WITHDRAWN:
        yield Fault(
            "cause",
            "withdrawn",
            "Incident {id} was withdrawn: it has no outage to explain",
            "It was merged into incident {into}" if incident.merged_into else None,
            values=values,
        )
    reported_at = patch.get("reported_at")
    if reported_at is not None and reported_at > now + CLOCK_SKEW:
        yield Fault(
            "reported_at", "in_the_future", "{given} is in the future", values={"given": reported_at.isoformat()}
        )
    earliest = incident.last_ok_at or incident.started_at
    if reported_at is not None and reported_at < earliest:
        yield Fault(
            "reported_at",
            "before_outage",
            "At {given} the outage had not begun",
            "The site still answered at {earliest}",
            values={"given": reported_at.isoformat(), "earliest": earliest.isoformat()},
        )


def _status_faults(incident: Incident, status: IncidentStatus, values: dict[str, Any]) -> Iterator[Fault]:
    if status in {IncidentStatus.RESOLVED, IncidentStatus.WITHDRAWN}:
        yield Fault(
            "status",
            "not_by_hand",
            "{given} follows from the evidence and cannot be set by hand",
            "Set acknowledged or open; add a note for what you know",
            values={"given": status.value},
        )
    elif incident.status is IncidentStatus.RESOLVED:
        yield Fault(
            "status",
            "already_resolved",
            "Incident {id} ended at {ended_at}: there is nothing left to acknowledge",
            "Its cause, ticket and notes can still be added",
            values=values,
        )
    elif incident.status is IncidentStatus.WITHDRAWN:
        yield Fault(
            "status",
            "already_resolved",
            "Incident {id} was withdrawn: late evidence removed its outage",
            "It was merged into incident {into}" if incident.merged_into else None,
            values=values,
        )
