"""What every stream of server-sent events needs: room in this process, leave of its caller, an end with the service."""

import contextlib
from collections.abc import Iterator
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.core.errors import TooManyStreams

BEAT_S = 15.0  # when there was nothing to tell for so long, a sign of life
LOOK_S = 1.5  # how often a stream looks whether its caller may still see it: well within 5 s with what is remembered
UNBUFFERED = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class StreamLimit:
    """For all streams that are open in this process."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self.open = 0
        self.ending = False

    def require_capacity(self) -> None:
        """Raises TooManyStreams."""
        if self.open >= self._most:
            raise TooManyStreams

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def end(self) -> None:
        """With the service: no stream ends by itself."""
        self.ending = True


class EventStream(StreamingResponse):
    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        room: StreamLimit = scope["app"].state.streams
        with room.counted():
            await super().__call__(scope, receive, send)


def event_schema(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """How an event of a stream is described (OpenAPI)."""
    return {
        "type": "object",
        "required": ["event", "id", "data"],
        "properties": {
            "event": {"const": kind},
            "id": {"type": "string"},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
    }
