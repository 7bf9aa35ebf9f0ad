"""Server-sent events: a limit on open streams, their end with the service, and their description in OpenAPI."""

import contextlib
from collections.abc import Iterator
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.core.errors import TooManyStreams

BEAT_S = 15.0  # after so long without an event, a beat
RECHECK_S = 1.5  # how often a stream checks its caller's rights: with the caller cache's TTL well within 5 s
UNBUFFERED = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class StreamLimit:
    """Counts the open streams of this process, and ends them with it."""

    def __init__(self, *, max_streams: int) -> None:
        self.max_streams = max_streams
        self.open = 0
        self.ending = False

    def require_capacity(self) -> None:
        """Raises TooManyStreams."""
        if self.open >= self.max_streams:
            raise TooManyStreams

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def end(self) -> None:
        """Let all streams end: none does by itself, and the server waits for them when it stops."""
        self.ending = True


class EventStream(StreamingResponse):
    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        streams: StreamLimit = scope["app"].state.streams
        with streams.counted():
            await super().__call__(scope, receive, send)


def event_schema(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Describe an event of a stream for OpenAPI."""
    return {
        "type": "object",
        "required": ["event", "id", "data"],
        "properties": {
            "event": {"const": kind},
            "id": {"type": "string"},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
    }
