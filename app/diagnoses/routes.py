"""Diagnosing one site on demand: asked for here, run by the worker, read or streamed line by line."""

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
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, Limit, row_id
from app.web.problem_details import problems
from app.web.sse import UNBUFFERED, EventStream, StreamLimit, event_schema

router = APIRouter(prefix="/sites/{id}", tags=["field"])

EVENTS = {
    "description": "Until it is over, and the reader is told so",
    "content": {
        "text/event-stream": {
            "itemSchema": {
                "oneOf": [
                    event_schema("status", {"$ref": "#/components/schemas/DiagnosisOut"}),
                    event_schema("line", {"$ref": "#/components/schemas/LineOut"}),
                    event_schema("end", {"$ref": "#/components/schemas/DiagnosisOut"}),
                ]
            }
        }
    },
}


def _diagnosis_id(diagnosis_id: Annotated[str, Path(description="an integer", examples=["7"])]) -> int:
    try:
        return row_id(diagnosis_id)
    except ValueError:
        raise NotFound("There is no {given} within your scope", values={"given": diagnosis_id[:60]}) from None


DiagnosisId = Annotated[int, Depends(_diagnosis_id)]


@router.post("/diagnose", response_model=DiagnosisOut, status_code=201, responses=problems(403, 404, 409, 429))
async def create_diagnosis(
    session: Session,
    caller: Writer,
    id: SiteId,
    given: DiagnosisIn,
    request: Request,
    response: Response,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """The worker looks at the site's address, from where it always looks: follow it at `Location`, or stream it.

    One of a site at a time, and few a minute. A site that reports itself has no address to look at.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    if known := await idempotency.find(session, given, caller=caller):
        asked = await store.get_diagnosis(session, site.id, known)
    else:
        asked = await store.ask(session, site, given, caller=caller)
        await idempotency.record(session, given, asked.id, caller=caller)
    response.headers["Location"] = request.url.path.removesuffix("/diagnose") + f"/diagnoses/{asked.id}"
    return store.present(await store.show(session, asked))


@router.get("/diagnoses", response_model=Page[DiagnosisOut], responses=problems(404))
async def list_diagnoses(
    session: Session, caller: Reader, id: SiteId, limit: Limit = 20, cursor: Cursor = None
) -> dict[str, Any]:
    """The newest first; those of the last 30 days are kept."""
    site, _ = await registry.get_site(session, id, caller=caller)
    before = BY_ID.read(cursor)
    found = await store.list_of_site(session, site.id, before=before, limit=limit + 1)
    page, next_cursor = BY_ID.page(found, limit, lambda diagnosis: diagnosis.id)
    items = [store.present(await store.show(session, diagnosis)) for diagnosis in page]
    return {"items": items, "next_cursor": next_cursor}


@router.get("/diagnoses/{diagnosis_id}", response_model=DiagnosisWithLines, responses=problems(404))
async def get_diagnosis(session: Session, caller: Reader, id: SiteId, diagnosis_id: DiagnosisId) -> dict[str, Any]:
    """With the lines that there are so far."""
    site, _ = await registry.get_site(session, id, caller=caller)
    shown = await store.show(session, await store.get_diagnosis(session, site.id, diagnosis_id))
    lines = await store.list_lines(session, diagnosis_id)
    return {**store.present(shown), "lines": [store.present_line(line) for line in lines]}


@router.get(
    "/diagnoses/{diagnosis_id}/stream",
    response_class=StreamingResponse,
    dependencies=[Depends(redeem_ticket)],
    responses={200: EVENTS, **problems(404, 503)},
)
async def stream_diagnosis(
    session: Session,
    caller: Reader,
    credential: Presented,
    id: SiteId,
    diagnosis_id: DiagnosisId,
    request: Request,
    last_event_id: Annotated[str | None, Header(description="as browsers send it: the lines after that one")] = None,
) -> Response:
    """Server-sent events: a `status` whenever it changes, each `line` at once, and `end`, after which nothing comes."""
    room: StreamLimit = request.app.state.streams
    site, _ = await registry.get_site(session, id, caller=caller)
    await store.get_diagnosis(session, site.id, diagnosis_id)
    room.require_capacity()
    sessions, leave = request.app.state.sessions, partial(is_still_allowed, request, credential, caller)
    facts = stream.tell(sessions, site.id, diagnosis_id, room=room, told=_line(last_event_id), is_allowed=leave)
    return EventStream(facts, headers=UNBUFFERED)


def _line(event_id: str | None) -> int:
    """From the first one for what is no number of ours: a browser would give up for good at a refusal."""
    return int(event_id) if event_id is not None and re.fullmatch(r"[0-9]{1,6}", event_id) else 0
