"""Change an incident by hand: acknowledge it, assign it, set its cause. Evidence alone resolves it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, NotAllowed
from app.incidents import outage_causes, store
from app.incidents.models import Happening, Incident, IncidentEvent, IncidentStatus, jsonable
from app.incidents.schemas import IncidentPatch
from app.incidents.store import Member
from app.postgres.engine import Counter, lock_counter, next_version, require_version
from app.registry.models import Cause

CLOCK_SKEW = timedelta(seconds=5)  # allowed to the caller's clock


async def patch_incident(
    session: AsyncSession, incident_id: int, patch: IncidentPatch, *, caller: Caller, if_match: int | None
) -> Incident:
    """Apply the patch and return the incident; values that are set already make no new version.

    Raises Invalid with every fault, NotAllowed, NotFound, Stale. The counter is locked first, as the worker does, so
    that the second of two concurrent changes sees the first one's result.
    """
    await lock_counter(session, Counter.INCIDENT)
    incident = await store.get_incident(session, incident_id, caller=caller)
    store.require_role(caller)
    require_version(if_match, incident.version)
    changes = patch.model_dump(exclude_unset=True)
    if faults := list(_faults(incident, changes, utc_now())):
        raise Invalid(*faults)
    members = (await store.list_members(session, [incident], caller=caller))[incident.id]
    if "cause" in changes:
        _require_all_visible(members)
    changed = await _apply(session, incident, members, _column_values(incident, changes, by=caller.who), caller=caller)
    if "cause" in changed or "cause_confirmed_by" in changed:
        await _set_cause(session, members, changes["cause"], by=caller.who)
    return incident


def _faults(incident: Incident, changes: dict[str, Any], now: datetime) -> Iterable[Fault]:
    values = {"id": incident.id, "into": incident.merged_into, "ended_at": jsonable(incident.ended_at)}
    if "status" in changes and changes["status"] is not incident.status:
        yield from _status_faults(incident, changes["status"], values)
    if "cause" in changes and incident.status is IncidentStatus.WITHDRAWN:
        yield Fault(
            "cause",
            "withdrawn",
            "Incident {id} was withdrawn: it has no outage to explain",
            "It was merged into incident {into}" if incident.merged_into else None,
            values=values,
        )
    reported_at = changes.get("reported_at")
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


def _status_faults(incident: Incident, status: IncidentStatus, values: dict[str, Any]) -> Iterable[Fault]:
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


def _column_values(incident: Incident, changes: dict[str, Any], *, by: str) -> dict[str, Any]:
    """Return the column values that the changes imply."""
    values = dict(changes)
    if changes.get("status", incident.status) is not incident.status:
        acknowledged = changes["status"] is IncidentStatus.ACKNOWLEDGED
        values |= {
            "acknowledged_at": utc_now() if acknowledged else None,
            "acknowledged_by": by if acknowledged else None,
        }
    if "cause" in changes:
        values["cause_confirmed_by"] = by
    return values


async def _apply(
    session: AsyncSession, incident: Incident, members: Sequence[Member], values: dict[str, Any], *, caller: Caller
) -> Sequence[str]:
    """Set the columns, record an event and an audit entry. Return the names of the columns that changed."""
    changed = [name for name, value in values.items() if getattr(incident, name) != value]
    if changed:
        before = {name: jsonable(getattr(incident, name)) for name in changed}
        after = {name: jsonable(values[name]) for name in changed}
        for name in changed:
            setattr(incident, name, values[name])
        incident.version = await next_version(session, Counter.INCIDENT)
        session.add(
            IncidentEvent(
                incident_id=incident.id,
                at=utc_now(),
                by=caller.who,
                kind=Happening.CHANGED,
                before=before,
                after=after,
            )
        )
        await audit.record(
            session,
            caller,
            "change",
            "incident",
            incident.id,
            region_code=store.smallest_region(members),
            before=before,
            after=after,
        )
    return changed


def _require_all_visible(members: Sequence[Member]) -> None:
    """Raise NotAllowed unless the caller sees every site: a cause counts for all of them."""
    if not all(member.visible for member in members):
        raise NotAllowed("The incident includes sites outside your region: only the province sets its cause")


async def _set_cause(session: AsyncSession, members: Sequence[Member], cause: Cause, *, by: str) -> None:
    sites: dict[tuple[datetime, datetime | None], list[int]] = defaultdict(list)
    for member in members:
        sites[member.outage.started_at, member.outage.ended_at].append(member.outage.site_id)
    for (start, end), site_ids in sites.items():
        await outage_causes.set_cause(session, site_ids, start, end, cause, by)
