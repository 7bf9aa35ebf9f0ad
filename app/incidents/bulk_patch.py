"""Change many incidents by hand at once: all of them or, if one of them is refused, none."""

from collections import Counter as Counts
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, Stale
from app.incidents import actions, changes, members, selection, store
from app.incidents.changes import IncidentChange
from app.incidents.models import Incident
from app.incidents.schemas import IncidentPatch
from app.incidents.selection import IncidentFilter
from app.postgres.engine import Counter, among, lock_counter

MAX_INCIDENTS = 1_000


class PatchResult(StrEnum):
    """`changed`; `unchanged`: all is as wanted already; `refused`: see `errors`."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PatchedIncident:
    id: int
    before: Mapping[str, Any]  # this and `after`: of the fields that change, as JSON types
    after: Mapping[str, Any]
    faults: Sequence[Fault] = ()

    @property
    def result(self) -> PatchResult:
        if self.faults:
            return PatchResult.REFUSED
        return PatchResult.CHANGED if self.after else PatchResult.UNCHANGED


@dataclass(frozen=True, slots=True)
class BulkPatch:
    dry_run: bool
    incidents: Sequence[PatchedIncident]

    @property
    def counts(self) -> dict[str, int]:
        results = Counts(incident.result for incident in self.incidents)
        return {"matched": len(self.incidents), **{result.value: results[result] for result in PatchResult}}

    @property
    def refused(self) -> bool:
        return any(incident.faults for incident in self.incidents)


async def patch_incidents(
    session: AsyncSession,
    selected: Sequence[int] | IncidentFilter,
    patch: IncidentPatch,
    *,
    caller: Caller,
    dry_run: bool,
    expected_count: int | None,
) -> BulkPatch:
    """Apply the patch to all selected incidents, unless one is refused or this is a dry run. Return what each becomes.

    Idempotent. Raises Invalid for too many, Stale when they are not as many as expected, NotAllowed.
    """
    store.require_role(caller)
    if not dry_run:
        await lock_counter(session, Counter.INCIDENT)
    incidents = await _load(session, selected, caller=caller)
    ids = list(incidents) if isinstance(selected, IncidentFilter) else sorted(set(selected))
    _require_count(expected_count, len(ids))
    outages = await members.list_members(session, list(incidents.values()), caller=caller)
    patched, now = patch.model_dump(exclude_unset=True), utc_now()
    planned: list[IncidentChange] = []
    outcomes: list[PatchedIncident] = []
    for incident_id in ids:
        incident = incidents.get(incident_id)
        if incident is None:
            outcomes.append(_refused(incident_id, [_unknown(incident_id)]))
            continue
        faults = list(changes.find_faults(incident, patched, now))
        if "cause" in patched and not all(outage.visible for outage in outages[incident_id]):
            faults.append(_partly_out_of_scope(incident_id))
        if faults:
            outcomes.append(_refused(incident_id, faults))
            continue
        change = changes.plan_change(incident, outages[incident_id], patched, by=caller.who, now=now)
        planned.append(change)
        outcomes.append(PatchedIncident(incident_id, change.before, change.after))
    result = BulkPatch(dry_run, outcomes)
    if not dry_run and not result.refused:
        await actions.apply_changes(session, planned, caller=caller)
    return result


async def _load(
    session: AsyncSession, selected: Sequence[int] | IncidentFilter, *, caller: Caller
) -> dict[int, Incident]:
    """By id, the newest outage first. Raises Invalid for more than MAX_INCIDENTS."""
    query: Select[Incident]
    if isinstance(selected, IncidentFilter):
        query = selection.select_incidents(selected, caller=caller)
    else:
        query = selection.visible_incidents(caller).where(among(Incident.id, selected))
    query = query.order_by(Incident.started_at.desc(), Incident.id.desc()).limit(MAX_INCIDENTS + 1)
    rows = await session.scalars(query.execution_options(populate_existing=True))
    incidents = {incident.id: incident for incident in rows}
    if len(incidents) > MAX_INCIDENTS:
        raise Invalid(
            Fault(
                "filter",
                "too_many",
                "The filter matches more than {max} incidents",
                "Narrow it, by period or region for instance, and change them in several requests",
                values={"max": MAX_INCIDENTS},
            )
        )
    return incidents


def _require_count(expected: int | None, matched: int) -> None:
    if expected is not None and expected != matched:
        raise Stale(
            "{matched} incidents match, not the {expected} expected: look at them again in a dry run",
            values={"matched": matched, "expected": expected},
            matched=matched,
            expected_count=expected,
        )


def _refused(incident_id: int, faults: Sequence[Fault]) -> PatchedIncident:
    return PatchedIncident(incident_id, {}, {}, faults)


def _unknown(incident_id: int) -> Fault:
    return Fault(
        "id", "unknown_incident", "There is no incident {given} within your scope", values={"given": incident_id}
    )


def _partly_out_of_scope(incident_id: int) -> Fault:
    return Fault(
        "cause",
        "partly_out_of_scope",
        "Incident {id} includes sites outside your region: only the province sets its cause",
        "Leave it out, or leave out the cause",
        values={"id": incident_id},
    )
