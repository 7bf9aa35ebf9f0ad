"""What is closed was told to the public and to the treasurer: who issues reports changes what it is paid by, alone."""

from collections.abc import Iterable, Sequence
from datetime import date

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.rights import HOLDERS, Right
from app.access.scope import Caller
from app.availability.models import ClosedMonth
from app.core.errors import NotAllowed
from app.postgres.engine import among

DayRange = tuple[date, date]  # the end exclusive


async def require_issuer(
    session: AsyncSession, site_ids: Sequence[int], days: Iterable[DayRange], *, caller: Caller
) -> None:
    """Raises NotAllowed where any of these days is of a month that is closed, but for a role that issues reports."""
    ranges = list(days)
    if caller.role in HOLDERS[Right.ISSUE] or not ranges or not site_ids:
        return
    within = [and_(ClosedMonth.month >= low.replace(day=1), ClosedMonth.month < high) for low, high in ranges]
    query = select(ClosedMonth.month).where(among(ClosedMonth.site_id, site_ids), or_(*within))
    month = await session.scalar(query.order_by(ClosedMonth.month).limit(1))
    if month is not None:
        raise NotAllowed(
            "This changes what is paid for {month}, which is closed: only the province's admins may",
            values={"month": f"{month:%Y-%m}"},
        )
