"""Decisions of a quarter's review: added and audited, never changed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import func

from app.access import audit
from app.access.scope import PROVINCE, Caller
from app.core.errors import Fault, Invalid
from app.reviews.models import ReviewDecision
from app.reviews.quarter import parse_quarter

MOST = 200  # of a quarter


async def add_decision(
    session: AsyncSession, period: str, body: str, *, caller: Caller, now: datetime
) -> ReviewDecision:
    """Raises Invalid for a quarter that has not begun, or that has MOST decisions."""
    parse_quarter(period, now)
    count = await session.scalar(select(func.count()).where(ReviewDecision.period == period)) or 0
    if count >= MOST:
        raise Invalid(
            Fault(
                "period",
                "too_many_decisions",
                "{period} has {most} decisions, which is the most that a review holds",
                values={"period": period, "most": MOST},
            )
        )
    decision = ReviewDecision(period=period, text=body, decided_by=caller.who, decided_at=now)
    session.add(decision)
    await session.flush()
    after = {"period": period, "text": body}
    await audit.record(session, caller, "create", "review", decision.id, region_code=PROVINCE, after=after)
    return decision


async def list_decisions(session: AsyncSession, period: str) -> Sequence[ReviewDecision]:
    """Return those of a quarter, the oldest first."""
    query = select(ReviewDecision).where(ReviewDecision.period == period).order_by(ReviewDecision.id)
    return list(await session.scalars(query))


async def get_decision(session: AsyncSession, decision_id: int) -> ReviewDecision:
    return await session.get_one(ReviewDecision, decision_id)
