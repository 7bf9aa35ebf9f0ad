"""Which part of the past was simulated by `sinyal demo --history`, and how every response says so.

A header says it for the whole service (app/api/middleware/simulated_header.py), `simulated_until` for each response
that reaches back before that moment.
"""

from contextvars import ContextVar
from datetime import datetime

from pydantic import BaseModel, computed_field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment

simulated: ContextVar[datetime | None] = ContextVar("simulated", default=None)


class SimulatedRange(Base):
    """A part of the past that was simulated through the judge; single readings exist from `readings_from` on."""

    __tablename__ = "simulation"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment]
    readings_from: Mapped[Moment]
    seed: Mapped[int]
    made_at: Mapped[Moment] = mapped_column(server_default=func.now())


async def simulated_until(session: AsyncSession) -> datetime | None:
    """Return the end of the simulated past, None if all was measured."""
    return await session.scalar(select(func.max(SimulatedRange.ended_at)))


async def readings_from(session: AsyncSession) -> datetime | None:
    """Return since when there are single readings, None if nothing was simulated."""
    return await session.scalar(select(func.max(SimulatedRange.readings_from)))


class MarksSimulatedPast(BaseModel):
    """A response about the past."""

    @computed_field(description="all before was simulated, not measured; null: all was measured", examples=[None])  # type: ignore[prop-decorator]
    @property
    def simulated_until(self) -> datetime | None:
        """In the zone of the response's own moments."""
        until, moments = simulated.get(), self.covered_moments()
        if until is None or not moments or min(moments) >= until:
            return None
        return until.astimezone(moments[0].tzinfo)

    def covered_moments(self) -> list[datetime]:
        """Return moments of which the earliest is where the response begins."""
        return [moment for name in ("from_", "started_at") if (moment := getattr(self, name, None)) is not None]
