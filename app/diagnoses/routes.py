"""Diagnose one site on demand: requested here, run by the worker, read or streamed line by line."""

import re
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from fastapi.responses import StreamingResponse

from app.core.errors import NotFound
from app.diagnoses import store, stream
from app.diagnoses.schemas import DiagnosisIn, DiagnosisOut, DiagnosisWithLines
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.auth import Presented, is_still_allowed, redeem_ticket
from app.web.deps import Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import MAX_ID, Cursor, Limit, row_id
from app.web.problem_details import problems
from app.web.sse import EventStream, StreamLimit, event_stream

router = APIRouter(prefix="/sites/{id}", tags=["field"], route_class=JsonRoute)

EVENTS = event_stream(
    "Ends after the `end` event",
    status={"$ref": "#/components/schemas/DiagnosisOut"},
    line={"$ref": "#/components/schemas/LineOut"},
    end={"$ref": "#/components/schemas/DiagnosisOut"},
)


def _diagnosis_id(
    diagnosis_id: Annotated[str, Path(max_length=MAX_ID, description="an integer", examples=["7"])],
) -> int:
    try:
        return row_id(diagnosis_id)
    except ValueError:
        raise NotFound("There is no {given} within your scope", values={"given": diagnosis_id}) from None


DiagnosisId = Annotated[int, Depends(_diagnosis_id)]


@router.post("/diagnose", response_model=DiagnosisOut, status_code=201, responses=problems(403, 404, 409, 429))
async def create_diagnosis(
    session: Session,
    caller: Writer,
    id: SiteId,
    diagnosis_in: DiagnosisIn,
    request: Request,
    response: Response,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Ping or trace a site now.

    The worker does; read the result at `Location`, or stream it. One open diagnosis per site, a few per minute and
    caller. Not for a site that reports itself: it has no address.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    if diagnosis_id := await idempotency.find(session, diagnosis_in, caller=caller):
        diagnosis = await store.get_diagnosis(session, site.id, diagnosis_id)
    else:
        diagnosis = await store.create_diagnosis(session, site, diagnosis_in, caller=caller)
        await idempotency.record(session, diagnosis_in, diagnosis.id, caller=caller)
    response.headers["Location"] = request.url.path.removesuffix("/diagnose") + f"/diagnoses/{diagnosis.id}"
    return store.to_fields(await store.view(session, diagnosis))


@router.get("/diagnoses", response_model=Page[DiagnosisOut], responses=problems(404))
async def list_diagnoses(
    session: Session, caller: Reader, id: SiteId, limit: Limit = 20, cursor: Cursor = None
) -> dict[str, Any]:
    """List a site's diagnoses.

    Newest first; they are kept for 30 days.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    before = BY_ID.read(cursor)
    diagnoses = await store.list_diagnoses(session, site.id, before=before, limit=limit + 1)
    page, next_cursor = BY_ID.page(diagnoses, limit, lambda diagnosis: diagnosis.id)
    items = [store.to_fields(await store.view(session, diagnosis)) for diagnosis in page]
    return {"items": items, "next_cursor": next_cursor}


@router.get("/diagnoses/{diagnosis_id}", response_model=DiagnosisWithLines, responses=problems(404))
async def get_diagnosis(session: Session, caller: Reader, id: SiteId, diagnosis_id: DiagnosisId) -> dict[str, Any]:
    """One diagnosis with its lines so far."""
    site, _ = await registry.get_site(session, id, caller=caller)
    view = await store.view(session, await store.get_diagnosis(session, site.id, diagnosis_id))
    lines = await store.list_lines(session, diagnosis_id)
    return {**store.to_fields(view), "lines": [store.line_fields(line) for line in lines]}


@router.get(
    "/diagnoses/{diagnosis_id}/stream",
    response_class=StreamingResponse,
    dependencies=[Depends(redeem_ticket)],
    responses={200: EVENTS, **problems(404, 429, 503)},
)
async def stream_diagnosis(
    session: Session,
    caller: Reader,
    credential: Presented,
    id: SiteId,
    diagnosis_id: DiagnosisId,
    request: Request,
    last_event_id: Annotated[
        str | None,
        Header(
            max_length=100,
            description="sent by browsers on reconnecting: only lines after this one",
            examples=["3"],
        ),
    ] = None,
) -> Response:
    """Lines of a diagnosis as server-sent events.

    `status` on each change, each `line` as it is found, and `end`, the last one.
    """
    limit: StreamLimit = request.app.state.streams
    site, _ = await registry.get_site(session, id, caller=caller)
    await store.get_diagnosis(session, site.id, diagnosis_id)
    limit.require_capacity(caller)
    sessions, is_allowed = request.app.state.sessions, partial(is_still_allowed, request, credential, caller)
    events = stream.stream_events(
        sessions, site.id, diagnosis_id, limit=limit, last_line=_line_number(last_event_id), is_allowed=is_allowed
    )
    return EventStream(events, limit=limit, caller=caller)


def _line_number(event_id: str | None) -> int:
    """Return 0, for all lines, if the id is not a line number: after an error a browser would not reconnect."""
    return int(event_id) if event_id is not None and re.fullmatch(r"[0-9]{1,6}", event_id) else 0
