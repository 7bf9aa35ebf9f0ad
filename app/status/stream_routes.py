"""`/status/stream`, and the tickets with which a browser opens it."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.access import stream_tickets
from app.core.errors import Invalid
from app.status.routes import Since, Wanted
from app.status.schemas import Aged
from app.status.stream import Streams
from app.status.version import Version
from app.web.auth import Presented, is_still_allowed, redeem_ticket
from app.web.deps import Reader, Session
from app.web.problem_details import problems
from app.web.sse import UNBUFFERED, EventStream, event_schema

router = APIRouter(tags=["dashboards"])

LastEventId = Annotated[str | None, Header(description="as browsers send it: the stream goes on from there")]


EVENTS = {
    "description": "Until the reader, the caller's rights or the service end it",
    "content": {
        "text/event-stream": {
            "itemSchema": {
                "oneOf": [
                    event_schema("snapshot", {"$ref": "#/components/schemas/StatusOut"}),
                    event_schema("change", {"$ref": "#/components/schemas/ChangeOut"}),
                    event_schema("beat", Aged.model_json_schema()),
                ]
            }
        }
    },
}


class TicketOut(BaseModel):
    ticket: str = Field(description="good once: `GET /status/stream?ticket=…`")
    expires_at: datetime


@router.get(
    "/status/stream",
    response_class=StreamingResponse,
    dependencies=[Depends(redeem_ticket)],
    responses={200: EVENTS, **problems(403, 503)},
)
async def get_stream(
    request: Request,
    caller: Reader,
    credential: Presented,
    wanted: Wanted,
    since: Since = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Server-sent events: a `snapshot` (what `GET /status` answers), then each `change` (as with `since`) at once.

    After 15 s without either, a `beat` says how old the data is. Each `id` is a version: a reader that comes back with
    it, as `Last-Event-ID` or as `since`, gets only what changed meanwhile, where that is still remembered.
    """
    streams: Streams = request.app.state.streams
    seen = _version(last_event_id) or (Version.read(since) if since is not None else None)
    streams.require_capacity()
    request.app.state.answers.version()

    leave = partial(is_still_allowed, request, credential, caller)
    return EventStream(streams.tell(wanted, seen, leave), headers=UNBUFFERED)


def _version(event_id: str | None) -> Version | None:
    """None for what is none of ours, perhaps by now: a browser would give up for good at a refusal."""
    try:
        return Version.read(event_id or "")
    except Invalid:
        return None


@router.post("/status/stream-ticket", response_model=TicketOut, status_code=201, responses=problems(403))
async def create_ticket(session: Session, caller: Reader, credential: Presented, response: Response) -> dict[str, Any]:
    """For a browser, whose EventSource sends no headers. The ticket opens one stream within a minute.

    The stream sees what you may see, for as long as you may see it.
    """
    ticket, expires_at = await stream_tickets.issue(session, credential)
    response.headers["Cache-Control"] = "no-store"
    return {"ticket": ticket, "expires_at": expires_at}
