"""Which stretch of the past was made up by `sinyal demo --history`, and how every answer says so.

A header tells it of the whole service (app/api/middleware/simulated_header.py), `simulated_until` of each answer that
reaches before it.
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
    return await session.scalar(select(func.max(SimulatedRange.ended_at)))


async def readings_from(session: AsyncSession) -> datetime | None:
    """Since when there are single readings; None where none were left out."""
    return await session.scalar(select(func.max(SimulatedRange.readings_from)))


class MarksSimulatedPast(BaseModel):
    """An answer about the past."""

    @computed_field(description="all before this moment was simulated, not measured; null: this answer was measured")  # type: ignore[prop-decorator]
    @property
    def simulated_until(self) -> datetime | None:
        until = simulated.get()
        return until if until is not None and any(moment < until for moment in self.covered_moments()) else None

    def covered_moments(self) -> list[datetime]:
        """Since when, at least, it tells of anything."""
        return [moment for name in ("from_", "started_at") if (moment := getattr(self, name, None)) is not None]
