"""An incident's bounds and status, out of its sites' outages: by evidence, never by hand."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.incidents.cause_hint import Return, hint
from app.incidents.models import Happening, Incident, IncidentEvent, IncidentSite, Kind, Status, jsonable
from app.registry.models import Cause

BOUNDS = ("started_at", "last_ok_at", "confirmed_at", "ended_at", "first_ok_after")
SETTLED = ("status", *BOUNDS, "merged_into", "cause_hint")


def settle(
    incident: Incident,
    sites: Sequence[IncidentSite],
    *,
    into: int | None,
    back: Mapping[int, Return],
    now: datetime,
) -> IncidentEvent | None:
    """Brings the incident to what its outages say; the event that tells of it, or None where nothing changed.

    `into`: the incident that took its outages over, if one did. `back`: what devices said on their return, by outage.
    """
    new = incident.version == 0
    before = {name: getattr(incident, name) for name in SETTLED}
    alive = [one for one in sites if one.withdrawn_at is None]
    for name, value in _bounds(alive).items():
        setattr(incident, name, value)
    incident.status = _status(incident, alive)
    if incident.status is not Status.WITHDRAWN:
        incident.merged_into = None
        incident.cause_hint = _hint(incident, alive, back)
    elif into is not None:
        incident.merged_into = into
    changed = [name for name in SETTLED if new or getattr(incident, name) != before[name]]
    if not changed:
        return None
    return IncidentEvent(
        incident=incident,
        at=now,
        kind=Happening.OPENED if new else _kind(before["status"], incident.status, changed),
        before=None if new else {name: jsonable(before[name]) for name in changed},
        after={name: jsonable(getattr(incident, name)) for name in changed},
    )


def _bounds(alive: Sequence[IncidentSite]) -> dict[str, Any]:
    """From the first to begin to the last to end; of what is withdrawn they stay as they were."""
    if not alive:
        return {}
    ended = all(one.ended_at is not None for one in alive)
    return {
        "started_at": min(one.started_at for one in alive),
        "last_ok_at": _of(min, alive, "last_ok_at"),
        "confirmed_at": _of(min, alive, "confirmed_at"),
        "ended_at": _of(max, alive, "ended_at") if ended else None,
        "first_ok_after": _of(max, alive, "first_ok_after") if ended else None,
    }


def _hint(incident: Incident, alive: Sequence[IncidentSite], back: Mapping[int, Return]) -> Cause | None:
    """Of one that lasts nothing is known yet. What was known of one that is over stays known, long after the receipts
    of what its device said are gone."""
    if incident.kind is Kind.SHARED:
        return hint(shared=True)
    if any(one.first_ok_after is None for one in alive):
        return None
    said = next((back[one.id] for one in alive if one.id in back), None)
    return hint(shared=False, back=said) if said else incident.cause_hint


def _of(choose: Callable[..., Any], alive: Sequence[IncidentSite], name: str) -> Any:
    return choose((value for one in alive if (value := getattr(one, name)) is not None), default=None)


def _status(incident: Incident, alive: Sequence[IncidentSite]) -> Status:
    if not alive:
        return Status.WITHDRAWN
    if all(one.ended_at is not None for one in alive):
        return Status.RESOLVED
    return Status.OPEN if incident.acknowledged_at is None else Status.ACKNOWLEDGED


def _kind(before: Status, after: Status, changed: Sequence[str]) -> Happening:
    if "status" not in changed:
        return Happening.MOVED
    if after is Status.RESOLVED:
        return Happening.RESOLVED
    return Happening.WITHDRAWN if after is Status.WITHDRAWN else Happening.REOPENED
