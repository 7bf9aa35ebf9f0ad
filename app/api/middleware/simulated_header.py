"""Every answer of an instance with a simulated past says so: in a header, and to the schemas that show it."""

import asyncio
import time
from datetime import datetime

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.measurements.simulated_past import simulated, simulated_until
from app.postgres.engine import Sessions, transaction
from app.web.problem_details import UNAVAILABLE

HEADER = "Sinyal-Simulated-Until"
AGAIN_S, LOOK_UP_S = 60.0, 2.0


class SimulatedPast:
    """Says in every answer of the API up to when the past was simulated, if any of it was."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app, self._prefix = app, prefix
        self._until: datetime | None = None
        self._again = float("-inf")
        self._reading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_ours(scope):
            return await self._app(scope, receive, send)
        until = await self._read(scope["app"].state.sessions)
        token = simulated.set(until)
        try:
            await self._app(scope, receive, send if until is None else _saying(until, send))
        finally:
            simulated.reset(token)

    def _is_ours(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return path.removeprefix(scope.get("root_path", "")).startswith(self._prefix)

    async def _read(self, sessions: Sessions) -> datetime | None:
        """While the database is away, what was known last."""
        if time.monotonic() >= self._again and not self._reading.locked():
            async with self._reading:
                try:
                    async with asyncio.timeout(LOOK_UP_S), transaction(sessions) as session:
                        self._until = await simulated_until(session)
                except UNAVAILABLE:
                    pass
                self._again = time.monotonic() + AGAIN_S
        return self._until


def _saying(until: datetime, send: Send) -> Send:
    async def said(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[HEADER] = until.isoformat()
        await send(message)

    return said
