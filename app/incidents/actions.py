"""What a person does to an incident: acknowledges it, takes it on, names its cause. Evidence alone resolves it."""

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
from app.incidents.models import Happening, Incident, IncidentEvent, Status, jsonable
from app.incidents.schemas import IncidentPatch
from app.incidents.store import Member
from app.postgres.engine import Counter, lock_counter, next_version, require_version
from app.registry.models import Cause

SKEW = timedelta(seconds=5)  # of the caller's clock


async def patch_incident(
    session: AsyncSession, incident_id: int, given: IncidentPatch, *, caller: Caller, if_match: int | None
) -> Incident:
    """Raises Invalid with every fault, NotAllowed, NotFound, Stale. What is as it was makes no version.

    The counter is locked first, as the worker does: whoever comes second sees what the first one left.
    """
    await lock_counter(session, Counter.INCIDENT)
    incident = await store.get_incident(session, incident_id, caller=caller)
    store.require_role(caller)
    require_version(if_match, incident.version)
    changes = given.model_dump(exclude_unset=True)
    if faults := list(_faults(incident, changes, utc_now())):
        raise Invalid(*faults)
    members = (await store.list_members(session, [incident], caller=caller))[incident.id]
    if "cause" in changes:
        _require_all(members)
    changed = await _change(session, incident, members, _values(incident, changes, by=caller.who), caller=caller)
    if "cause" in changed or "cause_confirmed_by" in changed:
        await _set_cause(session, members, changes["cause"], by=caller.who)
    return incident


def _faults(incident: Incident, changes: dict[str, Any], now: datetime) -> Iterable[Fault]:
    values = {"id": incident.id, "into": incident.merged_into, "ended_at": jsonable(incident.ended_at)}
    if "status" in changes and changes["status"] is not incident.status:
        yield from _status_faults(incident, changes["status"], values)
    if "cause" in changes and incident.status is Status.WITHDRAWN:
        yield Fault(
            "cause",
            "withdrawn",
            "Nothing is left of incident {id}: there is no outage to explain",
            "It goes on as incident {into}" if incident.merged_into else None,
            values=values,
        )
    reported_at = changes.get("reported_at")
    if reported_at is not None and reported_at > now + SKEW:
        yield Fault(
            "reported_at", "in_the_future", "{given} has not come yet", values={"given": reported_at.isoformat()}
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


def _status_faults(incident: Incident, wanted: Status, values: dict[str, Any]) -> Iterable[Fault]:
    if wanted in {Status.RESOLVED, Status.WITHDRAWN}:
        yield Fault(
            "status",
            "not_by_hand",
            "{given} follows from the evidence: nobody sets it by hand",
            "Set acknowledged or open; add a note for what you know",
            values={"given": wanted.value},
        )
    elif incident.status is Status.RESOLVED:
        yield Fault(
            "status",
            "already_resolved",
            "Incident {id} ended at {ended_at}: there is nothing left to acknowledge",
            "Its cause, ticket and notes can still be added",
            values=values,
        )
    elif incident.status is Status.WITHDRAWN:
        yield Fault(
            "status",
            "already_resolved",
            "Incident {id} was withdrawn: late evidence left nothing of it",
            "It goes on as incident {into}" if incident.merged_into else None,
            values=values,
        )


def _values(incident: Incident, changes: dict[str, Any], *, by: str) -> dict[str, Any]:
    """What the changes come to in the row."""
    values = dict(changes)
    if changes.get("status", incident.status) is not incident.status:
        acknowledged = changes["status"] is Status.ACKNOWLEDGED
        values |= {
            "acknowledged_at": utc_now() if acknowledged else None,
            "acknowledged_by": by if acknowledged else None,
        }
    if "cause" in changes:
        values["cause_confirmed_by"] = by
    return values


async def _change(
    session: AsyncSession, incident: Incident, members: Sequence[Member], values: dict[str, Any], *, caller: Caller
) -> Sequence[str]:
    """The names of what is another than before."""
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
            region_code=store.region_of(members),
            before=before,
            after=after,
        )
    return changed


def _require_all(members: Sequence[Member]) -> None:
    """A cause counts for every site of the incident: it is named by who answers for all of them."""
    if not all(member.visible for member in members):
        raise NotAllowed("It touches sites outside your region too: the province names its cause")


async def _set_cause(session: AsyncSession, members: Sequence[Member], cause: Cause, *, by: str) -> None:
    alike: dict[tuple[datetime, datetime | None], list[int]] = defaultdict(list)
    for member in members:
        alike[member.outage.started_at, member.outage.ended_at].append(member.outage.site_id)
    for (start, end), site_ids in alike.items():
        await outage_causes.set_cause(session, site_ids, start, end, cause, by)
