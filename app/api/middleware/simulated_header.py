"""Marks the responses of an instance with a simulated past: by a header, and by a context variable for schemas."""

import asyncio
import time
from datetime import datetime

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.measurements.simulated_past import simulated, simulated_until
from app.postgres.engine import Sessions, transaction
from app.web.problem_details import UNAVAILABLE

HEADER = "Sinyal-Simulated-Until"
REFRESH_S, TIMEOUT_S = 60.0, 2.0


class SimulatedHeader:
    """Sends with every response below `prefixes` up to when the past was simulated, if any of it was."""

    def __init__(self, app: ASGIApp, *, prefixes: tuple[str, ...]) -> None:
        self._app, self._prefixes = app, prefixes
        self._until: datetime | None = None
        self._refresh_at = float("-inf")
        self._refreshing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_marked(scope):
            return await self._app(scope, receive, send)
        until = await self._current(scope["app"].state.sessions)
        token = simulated.set(until)
        try:
            await self._app(scope, receive, send if until is None else _with_header(until, send))
        finally:
            simulated.reset(token)

    def _is_marked(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return path.removeprefix(scope.get("root_path", "")).startswith(self._prefixes)

    async def _current(self, sessions: Sessions) -> datetime | None:
        """Return the end of the simulated past, refreshed every REFRESH_S while the database is available."""
        if time.monotonic() >= self._refresh_at and not self._refreshing.locked():
            async with self._refreshing:
                try:
                    async with asyncio.timeout(TIMEOUT_S), transaction(sessions) as session:
                        self._until = await simulated_until(session)
                except UNAVAILABLE:
                    pass
                self._refresh_at = time.monotonic() + REFRESH_S
        return self._until


def _with_header(until: datetime, send: Send) -> Send:
    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[HEADER] = until.isoformat()
        await send(message)

    return send_marked
