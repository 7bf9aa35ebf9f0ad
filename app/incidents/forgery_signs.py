"""What speaks for a forgery beside a claim: marks that the pushes of a device left since an outage began.

`device` belongs to app.agents, a layer above: it is only read here, in SQL.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.incidents.models import IncidentSite

SIGNS = ("network_changed", "two_networks", "two_agents", "unheard_boot")  # as the registry checks are named
MARKS = text("""
    SELECT site_id, network_changed_at, two_networks_at, two_agents_at, unheard_boot_at
    FROM device WHERE site_id = ANY(cast(:ids AS int[]))
""")


async def find_signs(
    session: AsyncSession, outages: Sequence[IncidentSite]
) -> dict[tuple[int, datetime], frozenset[str]]:
    """Return the signs of each outage by its site and start."""
    if not outages:
        return {}
    rows = await session.execute(MARKS, {"ids": [row.site_id for row in outages]})
    marks = {site_id: dict(zip(SIGNS, moments, strict=True)) for site_id, *moments in rows}
    return {
        (row.site_id, row.started_at): frozenset(
            sign for sign, at in marks.get(row.site_id, {}).items() if at is not None and at >= row.started_at
        )
        for row in outages
    }
