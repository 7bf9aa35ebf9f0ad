"""Visitors' requests before FastAPI's router: a round trip is answered at once, all others pass a few at a time.

Thousands may come in the same second. Without the gate the event loop would serve all of them before it comes back to
a dashboard or a device; behind it they wait, in order, and everybody else is served in between. A body is read before
its request waits: whoever sends slowly takes no place, and one that leaves meanwhile asks nothing.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import TooManyRequests
from app.visitors.result_parser import MAX_BYTES
from app.web.problem_details import problem_response

AT_ONCE, MOST_WAITING, RETRY_S = 8, 4_000, 10
LONGEST_S = 0.5  # then the next one passes: whoever takes long stops nobody


class EchoRoute(NamedTuple):
    """Stands in for the route in `scope`, by whose path requests are counted."""

    path: str


class VisitGate:
    """Transfers are not held back here: they have limits of their own, and last."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app, self._echo = app, f"{prefix}/visits/echo"
        self._gated = {f"{prefix}/visits{path}" for path in ("", "/site", "/results")}
        self._route = EchoRoute(self._echo)
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if path == self._echo and scope["method"] == "GET":
            scope["route"] = self._route
            await send({"type": "http.response.start", "status": 204, "headers": [(b"cache-control", b"no-store")]})
            await send({"type": "http.response.body"})
        elif path in self._gated:
            await self._pass(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        if body is None:
            return
        if self._waiting >= MOST_WAITING:
            await problem_response(Request(scope), TooManyRequests(RETRY_S))(scope, receive, send)
            return
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        place = _Place(self._free)
        try:
            await self._app(scope, _after(body, receive), send)
        finally:
            place.free()


async def _read_body(receive: Receive) -> deque[Message] | None:
    """Return what was received up to the body's end, or a little more than it may be; None if the sender is gone."""
    body, size, more = deque[Message](), 0, True
    while more and size <= MAX_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body.append(message)
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    return body


def _after(body: deque[Message], receive: Receive) -> Receive:
    """Return a `receive` that gives what was read already, and then what comes."""

    async def next_message() -> Message:
        return body.popleft() if body else await receive()

    return next_message


class _Place:
    """One of the gate's places: freed once, after LONGEST_S at the latest."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places, self._held = places, True
        self._timer = asyncio.get_running_loop().call_later(LONGEST_S, self.free)

    def free(self) -> None:
        if self._held:
            self._held = False
            self._timer.cancel()
            self._places.release()
