"""Visitors' requests before FastAPI's router: a round trip is answered at once, all others pass a few at a time.

Thousands may come in the same second. Without the gate the event loop would serve all of them before it comes back to
a dashboard or a device; behind it they wait, in order, and everybody else is served in between.
"""

import asyncio
from typing import NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import TooManyRequests
from app.web.problem_details import problem_response

AT_ONCE, MOST_WAITING, RETRY_S = 8, 4_000, 10
LONGEST_S = 0.5  # then the next one passes: whoever sends its body slowly stops nobody


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
            await self._app(scope, receive, send)
        finally:
            place.free()


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
