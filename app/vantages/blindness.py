"""Whether a time in which the built-in prober could not look was one of its whole vantage."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.blind_ranges import BlindRange

OTHERS_HEARD = text("""
    SELECT max(seen_at) FROM prober
    WHERE vantage = 0 AND revoked_at IS NULL AND blind_since IS NULL
""")


async def of_whole_vantage(session: AsyncSession, blind: Sequence[BlindRange]) -> list[BlindRange]:
    """Return the ranges since whose beginning no other prober of the worker's vantage was heard that could see.

    A blind range excuses every look from its vantage, and the others' looks need no excuse: what a prober lost while it
    was blind itself comes as faults.
    """
    if not blind:
        return []
    heard_at: datetime | None = await session.scalar(OTHERS_HEARD)
    return [each for each in blind if heard_at is None or heard_at < each.started_at]
