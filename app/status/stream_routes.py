"""`/status/stream`, and tickets that let a browser open it without headers."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.access import stream_tickets
from app.access.scope import Caller
from app.access.stream_tickets import Credential
from app.core.errors import Invalid
from app.status.routes import Filter, Since
from app.status.schemas import VersionedStatus
from app.status.status_filter import StatusFilter
from app.status.stream import StatusStreams, StreamDetail
from app.status.version import Version
from app.web.auth import Presented, is_still_allowed, redeem_ticket
from app.web.deps import Reader, Session
from app.web.problem_details import problems
from app.web.sse import EventStream, event_stream

router = APIRouter(tags=["dashboards"])

LastEventId = Annotated[
    str | None,
    Header(
        max_length=100,
        description="sent by browsers on reconnecting: the stream continues after it",
        examples=["1795525651.1088.1038.12.1795525904000"],
    ),
]


EVENTS = event_stream(
    "Ends when the client or the service closes it or the caller loses access",
    snapshot={"$ref": "#/components/schemas/StatusOut"},
    change={"$ref": "#/components/schemas/ChangeOut"},
    version=VersionedStatus.model_json_schema(),
    beat=VersionedStatus.model_json_schema(),
)


class TicketOut(BaseModel):
    ticket: str = Field(description="for one `GET /status/stream?ticket=…`", examples=["t9Jw3kQv8mX2"])
    expires_at: datetime


@router.get(
    "/status/stream",
    response_class=StreamingResponse,
    dependencies=[Depends(redeem_ticket)],
    responses={200: EVENTS, **problems(403, 429, 503)},
)
async def stream_status(
    request: Request,
    caller: Reader,
    credential: Presented,
    status_filter: Filter,
    since: Since = None,
    detail: Annotated[StreamDetail, Query(description="what each event holds")] = StreamDetail.SITES,
    last_event_id: LastEventId = None,
) -> Response:
    """State changes as server-sent events.

    A `snapshot` (as `GET /status`), then each `change` (as with `since`) as it happens. After 15 s without either, a
    `beat` gives the age of the data. Each `id` is a version: a client that reconnects with it as `Last-Event-ID` or
    `since` receives only what changed meanwhile, or a `snapshot` if that is too old.

    With `detail=version`, for pages that read anew what they show: a `version`, then another whenever a state, an
    incident or maintenance of a site has changed, without the sites and without the refreshes of RTT and loss.
    """
    seen = _version(last_event_id) or (Version.parse(since) if since is not None else None)
    return _open(request, caller, credential, status_filter, seen, detail)


def open_stream(request: Request, caller: Caller, credential: Credential, since: str | None) -> EventStream:
    """Return a stream of versions of all that the caller sees, for pages that sign in by themselves.

    Raises as `stream_status` does.
    """
    seen = _version(request.headers.get("last-event-id")) or _version(since)
    return _open(request, caller, credential, StatusFilter.for_caller(caller), seen, StreamDetail.VERSION)


def _open(
    request: Request,
    caller: Caller,
    credential: Credential,
    status_filter: StatusFilter,
    seen: Version | None,
    detail: StreamDetail,
) -> EventStream:
    streams: StatusStreams = request.app.state.streams
    streams.require_capacity(caller)
    request.app.state.status_renderer.current_version()  # raises Unavailable before the stream starts
    is_allowed = partial(is_still_allowed, request, credential, caller)
    events = streams.stream_events(status_filter, seen, is_allowed, detail=detail)
    return EventStream(events, limit=streams, caller=caller)


def _version(event_id: str | None) -> Version | None:
    """Return None for an invalid id, perhaps of an earlier release: after an error a browser would not reconnect."""
    try:
        return Version.parse((event_id or "")[:100])
    except Invalid:
        return None


@router.post("/status/stream-ticket", response_model=TicketOut, status_code=201, responses=problems(403))
async def create_stream_ticket(
    session: Session, caller: Reader, credential: Presented, response: Response
) -> dict[str, Any]:
    """Ticket that opens one stream.

    For browsers, whose EventSource sends no headers. It opens one stream within a minute, with your rights.
    """
    ticket, expires_at = await stream_tickets.issue(session, credential)
    response.headers["Cache-Control"] = "no-store"
    return {"ticket": ticket, "expires_at": expires_at}
