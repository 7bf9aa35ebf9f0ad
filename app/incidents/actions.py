"""Change incidents by hand: acknowledge, assign, set the cause. Evidence alone resolves them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.audit import AuditEntry
from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import Invalid, NotAllowed
from app.incidents import changes, members, outage_causes, store
from app.incidents.changes import IncidentChange
from app.incidents.models import Happening, Incident, IncidentEvent
from app.incidents.outage_causes import OutageRange
from app.incidents.schemas import IncidentPatch
from app.postgres.engine import Counter, lock_counter, next_version, require_version


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
    patched, now = patch.model_dump(exclude_unset=True), utc_now()
    if faults := list(changes.find_faults(incident, patched, now)):
        raise Invalid(*faults)
    outages = (await members.list_members(session, [incident], caller=caller))[incident.id]
    if "cause" in patched and not all(outage.visible for outage in outages):  # a cause counts for all of them
        raise NotAllowed("The incident includes sites outside your region: only the province sets its cause")
    planned = changes.plan_change(incident, outages, patched, by=caller.who, now=now)
    await apply_changes(session, [planned], caller=caller)
    return incident


async def apply_changes(session: AsyncSession, planned: Sequence[IncidentChange], *, caller: Caller) -> None:
    """Set the columns of those that change, with one version, and an event and an audit entry for each.

    All of them are of one patch: a cause among them is the same.
    """
    planned = [change for change in planned if change.values]
    if not planned:
        return
    version, now = await next_version(session, Counter.INCIDENT), utc_now()
    for change in planned:
        for name, value in change.values.items():
            setattr(change.incident, name, value)
        change.incident.version = version
    session.add_all(_event(change, now, by=caller.who) for change in planned)
    await audit.record_all(session, caller, [_audit_entry(change) for change in planned])
    outages = [
        OutageRange(member.outage.site_id, member.outage.started_at, member.outage.ended_at)
        for change in planned
        if change.sets_cause
        for member in change.members
    ]
    if outages and (cause := planned[0].incident.cause) is not None:
        await outage_causes.set_causes(session, outages, cause, caller.who)


def _event(change: IncidentChange, at: datetime, *, by: str) -> IncidentEvent:
    return IncidentEvent(
        incident_id=change.incident.id,
        at=at,
        by=by,
        kind=Happening.CHANGED,
        before=dict(change.before),
        after=dict(change.after),
    )


def _audit_entry(change: IncidentChange) -> AuditEntry:
    return AuditEntry(
        "change",
        "incident",
        change.incident.id,
        region_code=members.smallest_region(change.members),
        before=change.before,
        after=change.after,
    )
