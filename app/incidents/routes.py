from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.access.scope import Caller
from app.core.clock import parse_moment
from app.core.periods import Period
from app.incidents import actions, provider_view, serializers, store
from app.incidents.models import Incident, IncidentKind, IncidentNote, IncidentStatus
from app.incidents.schemas import IncidentDetail, IncidentOut, IncidentPatch, NoteIn, NoteOut
from app.incidents.store import IncidentFilter
from app.measurements.simulated_past import MarksSimulatedPast
from app.profiles import Technology
from app.registry.models import Cause
from app.registry.params import ProviderSlug, RegionCode, SiteIdFilter
from app.web.deps import Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import Page, cursor_codec
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version, row_id
from app.web.period_params import PeriodParam
from app.web.problem_details import problems

router = APIRouter(prefix="/incidents", tags=["operations"], route_class=JsonRoute)

BY_START = cursor_codec(parse_moment, row_id)


class IncidentsOut(Page[IncidentOut], MarksSimulatedPast):
    def covered_moments(self) -> list[datetime]:
        return [incident.started_at for incident in self.items]


def explicit_period(request: Request, period: PeriodParam) -> Period | None:
    """Return None, for all of time, if the query names neither from, to nor period."""
    return period if {"from", "to", "period"} & request.query_params.keys() else None


@router.get("", response_model=IncidentsOut, responses=problems(403))
async def list_incidents(
    session: Session,
    caller: Reader,
    period: Annotated[Period | None, Depends(explicit_period)],
    status: IncidentStatus | None = None,
    kind: IncidentKind | None = None,
    cause: Cause | None = None,
    region: RegionCode = None,
    provider: ProviderSlug = None,
    technology: Technology | None = None,
    site: SiteIdFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Incidents with a site in your scope, newest outage first; with a period, those that reach into it."""
    criteria = IncidentFilter(status, kind, cause, period, region, provider, technology, site)
    after = BY_START.read(cursor)
    incidents = await store.list_incidents(session, criteria, caller=caller, after=after, limit=limit + 1)
    page, next_cursor = BY_START.page(incidents, limit, lambda incident: (incident.started_at, incident.id))
    return {"items": await serializers.serialize(session, page, caller=caller), "next_cursor": next_cursor}


@router.get("/{id}", response_model=IncidentDetail, responses=problems(404))
async def get_incident(session: Session, caller: Reader, id: RowId, response: Response) -> dict[str, Any]:
    """One incident with its notes and the history of every change."""
    return await _detail(session, await store.get_incident(session, id, caller=caller), caller, response)


@router.patch("/{id}", response_model=IncidentDetail, responses=problems(403, 404, 412))
async def patch_incident(
    session: Session, caller: Writer, id: RowId, patch: IncidentPatch, response: Response, if_match: IfMatch = None
) -> dict[str, Any]:
    """Acknowledge, assign, set the cause (also after it ended). Evidence alone resolves an incident."""
    incident = await actions.patch_incident(session, id, patch, caller=caller, if_match=read_version(if_match))
    return await _detail(session, incident, caller, response)


@router.post("/{id}/notes", response_model=NoteOut, status_code=201, responses=problems(403, 404))
async def add_note(
    session: Session, caller: Writer, id: RowId, note: NoteIn, idempotency: IdempotencyKey
) -> IncidentNote:
    """Add a note. Notes are kept as written, even if the incident is merged or withdrawn.

    Your office reads it, those above it and those below it; a provider only if it is the note's `audience`.
    """
    if note_id := await idempotency.find(session, note, caller=caller):
        return await store.get_note(session, id, note_id, caller=caller)
    row = await store.add_note(session, id, note.text, note.audience, caller=caller)
    await idempotency.record(session, note, row.id, caller=caller)
    return row


async def _detail(session: Session, incident: Incident, caller: Caller, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{incident.version}"'
    (fields,) = await serializers.serialize(session, [incident], caller=caller)
    notes: Sequence[Any] = await store.list_notes(session, incident, caller=caller)
    events: Sequence[Any] = await store.list_events(session, incident, caller=caller)
    if caller.provider_id is not None:
        members = (await store.list_members(session, [incident], caller=caller))[incident.id]
        events = list(provider_view.own_events(events, members))
    return fields | {"notes": notes, "events": events}
