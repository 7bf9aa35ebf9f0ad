from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.access.scope import Caller
from app.core.clock import parse_moment
from app.core.periods import Period
from app.incidents import actions, serializers, store
from app.incidents.models import Incident, IncidentNote, Kind, Status
from app.incidents.schemas import IncidentDetail, IncidentOut, IncidentPatch, NoteIn, NoteOut
from app.incidents.store import IncidentFilter
from app.measurements.simulated_past import MarksSimulatedPast
from app.profiles import Technology
from app.registry.models import Cause
from app.registry.params import ProviderSlug, RegionCode, SiteIdFilter
from app.web.deps import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Reader,
    RowId,
    Session,
    Writer,
    read_cursor,
    read_version,
    row_id,
    write_cursor,
)
from app.web.idempotency import SentOnce
from app.web.period_params import Asked
from app.web.problem_details import problems

router = APIRouter(prefix="/incidents", tags=["operations"])


class IncidentsOut(Page[IncidentOut], MarksSimulatedPast):
    def covered_moments(self) -> list[datetime]:
        return [one.started_at for one in self.items]


def asked_at_all(request: Request, period: Asked) -> Period | None:
    """Without from, to and period: all of time."""
    return period if {"from", "to", "period"} & request.query_params.keys() else None


@router.get("", response_model=IncidentsOut, responses=problems(403))
async def list_incidents(
    session: Session,
    caller: Reader,
    period: Annotated[Period | None, Depends(asked_at_all)],
    status: Status | None = None,
    kind: Kind | None = None,
    cause: Cause | None = None,
    region: RegionCode = None,
    provider: ProviderSlug = None,
    technology: Technology | None = None,
    site: SiteIdFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Those that touch a site of yours, the newest outage first; with a period, those that reach into it."""
    wanted = IncidentFilter(status, kind, cause, period, region, provider, technology, site)
    after = read_cursor(cursor, kind=_place)
    found = await store.list_incidents(session, wanted, caller=caller, after=after, limit=limit + 1)
    return {
        "items": await serializers.present(session, found[:limit], caller=caller),
        "next_cursor": _next_place(found[limit - 1]) if len(found) > limit else None,
    }


@router.get("/{id}", response_model=IncidentDetail, responses=problems(404))
async def get_incident(session: Session, caller: Reader, id: RowId, response: Response) -> dict[str, Any]:
    """With its notes, and the history of every change."""
    return await _whole(session, await store.get_incident(session, id, caller=caller), caller, response)


@router.patch("/{id}", response_model=IncidentDetail, responses=problems(403, 404, 412))
async def patch_incident(
    session: Session, caller: Writer, id: RowId, given: IncidentPatch, response: Response, if_match: IfMatch = None
) -> dict[str, Any]:
    """Acknowledge it, take it on, name its cause (also when it is over). Evidence alone resolves it."""
    incident = await actions.patch_incident(session, id, given, caller=caller, if_match=read_version(if_match))
    return await _whole(session, incident, caller, response)


@router.post("/{id}/notes", response_model=NoteOut, status_code=201, responses=problems(403, 404))
async def add_note(session: Session, caller: Writer, id: RowId, given: NoteIn, once: SentOnce) -> IncidentNote:
    """Notes are kept as they were written, whatever becomes of the incident."""
    if made := await once.find(session, given, caller=caller):
        return await store.get_note(session, id, made, caller=caller)
    note = await store.add_note(session, id, given.text, caller=caller)
    await once.keep(session, given, note.id, caller=caller)
    return note


async def _whole(session: Session, incident: Incident, caller: Caller, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{incident.version}"'
    (shown,) = await serializers.present(session, [incident], caller=caller)
    notes: Sequence[Any] = await store.list_notes(session, incident)
    return shown | {"notes": notes, "events": await store.list_events(session, incident, caller=caller)}


def _next_place(incident: Incident) -> str:
    return write_cursor(f"{incident.started_at.isoformat()}~{incident.id}")


def _place(text: str) -> tuple[datetime, int]:
    started_at, _, incident_id = text.partition("~")
    return parse_moment(started_at), row_id(incident_id)
