"""Why a site was out, as a person confirmed it: beside the segments, so that a rejudgement never erases it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CLEAR = text("""
    UPDATE outage_cause SET withdrawn_at = now() WHERE site_id = ANY(:sites) AND withdrawn_at IS NULL
        AND tstzrange(started_at, ended_at) && tstzrange(:start, :end)
""")
SET = text("""
    INSERT INTO outage_cause (site_id, started_at, ended_at, cause, confirmed_by)
    SELECT unnest(cast(:sites AS int[])), :start, :end, :cause, :by
""")


class Cause(StrEnum):
    LINK = "link"
    PROVIDER = "provider"
    POWER = "power"
    DEVICE = "device"
    UNPLUGGED = "unplugged"
    BILLING = "billing"
    QUOTA = "quota"
    WEATHER = "weather"
    VANDALISM = "vandalism"
    PLANNED = "planned"
    MONITORING = "monitoring"
    UNCLASSIFIED = "unclassified"


async def set_cause(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime | None, cause: Cause, by: str
) -> None:
    """The one cause of these sites from start to end (None: as long as it lasts); earlier words on it are withdrawn."""
    values = {"sites": list(site_ids), "start": start, "end": end}
    await session.execute(CLEAR, values)
    await session.execute(SET, {**values, "cause": cause.value, "by": by})
