"""Which stretch of the past was made up by `sinyal demo --history`, and how every answer says so.

The moment is read once a minute; a header tells it of the whole service, `simulated_until` of each answer that reaches
before it.
"""

import asyncio
import time
from contextvars import ContextVar
from datetime import datetime

from pydantic import BaseModel, computed_field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.database import Base, Moment, Sessions, transaction
from app.problems import AWAY

HEADER = "Sinyal-Simulated-Until"
AGAIN_S, LOOK_UP_S = 60.0, 2.0

simulated: ContextVar[datetime | None] = ContextVar("simulated", default=None)


class Simulation(Base):
    """A stretch that was simulated through the judge. Its single readings are there from `readings_from` on."""

    __tablename__ = "simulation"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment]
    readings_from: Mapped[Moment]
    seed: Mapped[int]
    made_at: Mapped[Moment] = mapped_column(server_default=func.now())


async def simulated_until(session: AsyncSession) -> datetime | None:
    """The end of what was made up; None where all was measured."""
    return await session.scalar(select(func.max(Simulation.ended_at)))


async def readings_from(session: AsyncSession) -> datetime | None:
    """Since when there are single readings; None where none were left out."""
    return await session.scalar(select(func.max(Simulation.readings_from)))


class Marked(BaseModel):
    """An answer about the past."""

    @computed_field(description="all before this moment was simulated, not measured; null: this answer was measured")  # type: ignore[prop-decorator]
    @property
    def simulated_until(self) -> datetime | None:
        until = simulated.get()
        return until if until is not None and any(moment < until for moment in self.told_of()) else None

    def told_of(self) -> list[datetime]:
        """Since when, at least, it tells of anything."""
        return [moment for name in ("from_", "started_at") if (moment := getattr(self, name, None)) is not None]


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
                except AWAY:
                    pass
                self._again = time.monotonic() + AGAIN_S
        return self._until


def _saying(until: datetime, send: Send) -> Send:
    async def said(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[HEADER] = until.isoformat()
        await send(message)

    return said
