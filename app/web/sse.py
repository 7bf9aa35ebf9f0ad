"""Server-sent events: a limit on open streams, their end with the service, and their description in OpenAPI."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.access.scope import Caller
from app.core.errors import TooManyStreams, TooManyStreamsOfCaller
from app.core.networks import limit_key
from app.settings import StatusSettings

BEAT_S = 15.0  # after so long without an event, a beat
RECHECK_S = 1.5  # how often a stream checks its caller's rights: with the caller cache's TTL well within 5 s
RETRY_AFTER_S = 5
UNBUFFERED = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class StreamLimit:
    """Counts the open streams of this process, in all and of each caller and address, and ends them with it."""

    def __init__(self, settings: StatusSettings) -> None:
        self._settings = settings
        self._open_of: Counter[tuple[str, str]] = Counter()
        self.open = 0
        self.ending = False

    def require_capacity(self, caller: Caller) -> None:
        """Raises TooManyStreams, and TooManyStreamsOfCaller."""
        who, address = _shares(caller)
        if (
            self._open_of[who] >= self._settings.streams_per_caller
            or self._open_of[address] >= self._settings.streams_per_address
        ):
            raise TooManyStreamsOfCaller(RETRY_AFTER_S)
        if self.open >= self._settings.max_streams:
            raise TooManyStreams

    @contextlib.contextmanager
    def counted(self, caller: Caller) -> Iterator[None]:
        """Raises as `require_capacity` does."""
        self.require_capacity(caller)
        self.open += 1
        self._open_of.update(_shares(caller))
        try:
            yield
        finally:
            self.open -= 1
            self._open_of.subtract(_shares(caller))
            self._open_of = +self._open_of  # without those that have none

    def end(self) -> None:
        """Let all streams end: none does by itself, and the server waits for them when it stops."""
        self.ending = True


class EventStream(StreamingResponse):
    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], *, limit: StreamLimit, caller: Caller) -> None:
        super().__init__(events, headers=UNBUFFERED)
        self._limit, self._caller = limit, caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises as `StreamLimit.require_capacity` does, before anything is sent."""
        with self._limit.counted(self._caller):
            await super().__call__(scope, receive, send)


def _shares(caller: Caller) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return what a stream of the caller counts for: the account, whichever token it uses, and the address."""
    return ("caller", caller.limit_key), ("address", limit_key(caller.address))


def event_stream(description: str, **events: dict[str, Any]) -> dict[str, Any]:
    """Describe a stream for OpenAPI, by the schema of each event's data.

    OpenAPI 3.1 has no schema for the events of a stream: `x-itemSchema` is what 3.2 calls `itemSchema`.
    """
    items = [_event_schema(kind, data) for kind, data in events.items()]
    return {"description": description, "content": {"text/event-stream": {"x-itemSchema": {"oneOf": items}}}}


def _event_schema(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    content = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    return {
        "type": "object",
        "required": ["event", "id", "data"],
        "properties": {
            "event": {"const": kind, "description": "kind of the event"},
            "id": {"type": "string", "description": "`Last-Event-ID` of a client that reconnects", "examples": ["3"]},
            "data": {**content, "description": "what happened, as JSON", "examples": ["{}"]},
        },
    }
