from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core import i18n
from app.core.clock import parse_moment, utc_now
from app.core.errors import Fault, Invalid
from app.core.tables import Table, max_rows
from app.incidents import (
    actions,
    bulk_patch,
    bulk_response,
    near_evidence,
    provider_view,
    serializers,
    store,
    tables,
    tickets,
)
from app.incidents.bulk_schemas import BulkPatchOut, IncidentsPatch
from app.incidents.members import list_members
from app.incidents.models import Incident, IncidentNote, IncidentStatus
from app.incidents.params import Incidents, resolve_filter
from app.incidents.schemas import IncidentDetail, IncidentOut, IncidentPatch, NoteIn, NoteOut, TicketsOut
from app.incidents.selection import IncidentFilter, IncidentOrder
from app.incidents.tables import FileRows
from app.measurements.simulated_past import MarksSimulatedPast
from app.web.deps import Reader, ReadSession, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import Page, cursor_codec
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version, row_id
from app.web.problem_details import problems
from app.web.table_files import TableParams, TableRequest, file_responses

router = APIRouter(prefix="/incidents", tags=["operations"], route_class=JsonRoute)

BY_START = cursor_codec(parse_moment, row_id)
BY_URGENCY = cursor_codec(int, int, int)
NEWEST = IncidentOrder.NEWEST


class IncidentsOut(Page[IncidentOut], MarksSimulatedPast):
    left_out: dict[IncidentStatus, int] = Field(
        {},
        description="by status, how many match all but the `status` asked for; 1000: or more. On the first page only",
        examples=[{"acknowledged": 3, "resolved": 214, "withdrawn": 2}],
    )

    def covered_moments(self) -> list[datetime]:
        return [incident.started_at for incident in self.items]


@router.get("", response_model=IncidentsOut, responses=file_responses(403))
async def list_incidents(
    session: ReadSession,
    caller: Reader,
    files: TableParams,
    criteria: Incidents,
    rows: Annotated[
        FileRows | None, Query(description="of a file: one an incident (default), or one an outage of a site")
    ] = None,
    order: Annotated[IncidentOrder, Query(description="of the items; a file has the newest first")] = NEWEST,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """List incidents.

    Those with a site in your scope, newest outage first; with a period, those that reach into it. `status=open` leaves
    out those that somebody acknowledged: `status=open,acknowledged` are all that last. `order=urgent` begins with what
    nobody handles yet.
    """
    if files.is_file:
        files.require_no_paging()
        await session.rollback()  # while the file waits for its turn, it holds no connection
        return await _file(files, criteria, rows or FileRows.INCIDENTS, caller)
    if rows is not None:
        raise Invalid(Fault("rows", "of_files", "JSON has the sites inside of each incident", "Leave it out"))
    read_page = _urgent_page if order is IncidentOrder.URGENT else _newest_page
    page, next_cursor = await read_page(session, criteria, caller, limit, cursor)
    left_out = await store.count_left_out(session, criteria, caller=caller) if cursor is None else {}
    items = await serializers.serialize(session, page, caller=caller)
    return {"items": items, "next_cursor": next_cursor, "left_out": left_out}


async def _newest_page(
    session: AsyncSession, criteria: IncidentFilter, caller: Caller, limit: int, cursor: str | None
) -> tuple[Sequence[Incident], str | None]:
    after = BY_START.read(cursor)
    incidents = await store.list_incidents(session, criteria, caller=caller, after=after, limit=limit + 1)
    return BY_START.page(incidents, limit, lambda incident: (incident.started_at, incident.id))


async def _urgent_page(
    session: AsyncSession, criteria: IncidentFilter, caller: Caller, limit: int, cursor: str | None
) -> tuple[Sequence[Incident], str | None]:
    after = BY_URGENCY.read(cursor)
    rows = await store.list_urgent_incidents(session, criteria, caller=caller, after=after, limit=limit + 1)
    page, next_cursor = BY_URGENCY.page(rows, limit, lambda row: row[1])
    return [incident for incident, _ in page], next_cursor


async def _file(files: TableRequest, criteria: IncidentFilter, rows: FileRows, caller: Caller) -> Response:
    async def build(session: AsyncSession) -> Table:
        most = max_rows(tables.COLUMNS[rows], files.format)
        return await tables.build(session, criteria, rows, caller=caller, most=most)

    return await files.respond(tables.STEMS[rows], build)


@router.patch("", response_model=BulkPatchOut, responses=problems(403, 412))
async def patch_incidents(session: Session, caller: Writer, request: Request, body: IncidentsPatch) -> dict[str, Any]:
    """Change many incidents alike.

    Up to 1,000: all of them or, if one is refused, none (422, with the result of each). Try it with `dry_run` first,
    and send its `matched` as `expected_count`. Sending it again changes nothing.
    """
    selected = body.ids if body.filter is None else await resolve_filter(session, body.filter, caller=caller)
    patch = await bulk_patch.patch_incidents(
        session, selected or [], body.changes, caller=caller, dry_run=body.dry_run, expected_count=body.expected_count
    )
    language = i18n.preferred_language(request.headers.get("accept-language"))
    if patch.refused and not patch.dry_run:
        raise bulk_response.refusal(patch, language=language)
    return bulk_response.content(patch, language=language)


@router.get("/{id}", response_model=IncidentDetail, responses=problems(404))
async def get_incident(session: Session, caller: Reader, id: RowId, response: Response) -> dict[str, Any]:
    """One incident with its notes and history."""
    return await _detail(session, await store.get_incident(session, id, caller=caller), caller, response)


@router.patch("/{id}", response_model=IncidentDetail, responses=problems(403, 404, 412))
async def patch_incident(
    session: Session, caller: Writer, id: RowId, patch: IncidentPatch, response: Response, if_match: IfMatch = None
) -> dict[str, Any]:
    """Acknowledge or assign an incident, or set its cause.

    The cause also after it ended. Evidence alone resolves an incident.
    """
    incident = await actions.patch_incident(session, id, patch, caller=caller, if_match=read_version(if_match))
    return await _detail(session, incident, caller, response)


@router.get("/{id}/ticket-text", response_model=TicketsOut, responses=problems(404))
async def get_ticket_text(session: Session, caller: Reader, id: RowId, request: Request) -> dict[str, Any]:
    """What to write to each provider of an incident.

    Plain text for a ticket or a letter: service numbers, times in WITA, durations with their bounds, the evidence, and
    who reports it, with the office's contact of the settings (`public.contacts`).
    """
    incident = await store.get_incident(session, id, caller=caller)
    contacts = request.app.state.settings.public.contacts
    return {"items": await tickets.tickets(session, incident, caller=caller, contacts=contacts)}


@router.post("/{id}/notes", response_model=NoteOut, status_code=201, responses=problems(403, 404))
async def add_note(
    session: Session, caller: Writer, id: RowId, note: NoteIn, idempotency: IdempotencyKey
) -> IncidentNote:
    """Add a note to an incident.

    Notes are kept as written, even if the incident is merged or withdrawn. Your office reads it, those above it and
    those below it; a provider only if it is the note's `audience`.
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
    members = (await list_members(session, [incident], caller=caller)).get(incident.id, [])
    if caller.provider_id is not None:
        events = list(provider_view.own_events(events, members))
    visible = [member.outage for member in members if member.visible]
    near = await near_evidence.list_near(session, visible, now=utc_now())
    return fields | {"near": near, "notes": notes, "events": events}
