"""Derive an incident's bounds, status and cause hint from its outages: by evidence, never by hand."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.incidents.cause_hint import DeviceUptime, NearEvidence, hint
from app.incidents.models import (
    Happening,
    Incident,
    IncidentEvent,
    IncidentKind,
    IncidentSite,
    IncidentStatus,
    jsonable,
)
from app.registry.models import Cause

BOUNDS = ("started_at", "last_ok_at", "confirmed_at", "ended_at", "first_ok_after")
DERIVED = ("status", *BOUNDS, "merged_into", "cause_hint")


def update_derived_fields(
    incident: Incident,
    rows: Sequence[IncidentSite],
    *,
    merged_into: int | None,
    device_uptimes: Mapping[int, DeviceUptime],
    near: Mapping[int, NearEvidence],
    now: datetime,
) -> IncidentEvent | None:
    """Update the incident from all its outages, withdrawn ones included. Return the event, or None if nothing changed.

    `merged_into`: the incident that took its outages over, if one did. `device_uptimes`, `near`: by `IncidentSite.id`.
    """
    is_new = incident.version == 0
    before = {name: getattr(incident, name) for name in DERIVED}
    outages = [row for row in rows if row.withdrawn_at is None]
    for name, value in bounds(outages).items():
        setattr(incident, name, value)
    incident.status = _status(incident, outages)
    if incident.status is not IncidentStatus.WITHDRAWN:
        incident.merged_into = None
        incident.cause_hint = _cause_hint(incident, outages, device_uptimes, near)
    elif merged_into is not None:
        incident.merged_into = merged_into
    changed = [name for name in DERIVED if is_new or getattr(incident, name) != before[name]]
    if not changed:
        return None
    return IncidentEvent(
        incident=incident,
        at=now,
        kind=Happening.OPENED if is_new else _event_kind(incident.status, changed),
        before=None if is_new else {name: jsonable(before[name]) for name in changed},
        after={name: jsonable(getattr(incident, name)) for name in changed},
    )


def bounds(outages: Sequence[IncidentSite]) -> dict[str, Any]:
    """From the first start to the last end. Empty for a withdrawn incident: it keeps the bounds that it had."""
    if not outages:
        return {}
    ended = all(row.ended_at is not None for row in outages)
    return {
        "started_at": min(row.started_at for row in outages),
        "last_ok_at": _known(min, outages, "last_ok_at"),
        "confirmed_at": _known(min, outages, "confirmed_at"),
        "ended_at": _known(max, outages, "ended_at") if ended else None,
        "first_ok_after": _known(max, outages, "first_ok_after") if ended else None,
    }


def _cause_hint(
    incident: Incident,
    outages: Sequence[IncidentSite],
    device_uptimes: Mapping[int, DeviceUptime],
    near: Mapping[int, NearEvidence],
) -> Cause | None:
    """None while an outage lasts. Once known, a hint stays: the push receipts that it came from are deleted in time."""
    if incident.kind is IncidentKind.SHARED:
        return hint(shared=True)
    if any(row.first_ok_after is None for row in outages):
        return None
    row_id = next((row.id for row in outages if row.id in device_uptimes), None)
    if row_id is not None:
        return hint(shared=False, device=device_uptimes[row_id], near=near.get(row_id))
    told = next((near[row.id] for row in outages if row.id in near), None)
    return incident.cause_hint or hint(shared=False, near=told)


def _known(choose: Callable[..., Any], outages: Sequence[IncidentSite], name: str) -> Any:
    return choose((value for row in outages if (value := getattr(row, name)) is not None), default=None)


def _status(incident: Incident, outages: Sequence[IncidentSite]) -> IncidentStatus:
    if not outages:
        return IncidentStatus.WITHDRAWN
    if all(row.ended_at is not None for row in outages):
        return IncidentStatus.RESOLVED
    return IncidentStatus.OPEN if incident.acknowledged_at is None else IncidentStatus.ACKNOWLEDGED


def _event_kind(status: IncidentStatus, changed: Sequence[str]) -> Happening:
    if "status" not in changed:
        return Happening.MOVED
    if status is IncidentStatus.RESOLVED:
        return Happening.RESOLVED
    return Happening.WITHDRAWN if status is IncidentStatus.WITHDRAWN else Happening.REOPENED
