"""What visitors say about a site at one moment: that a result arrived in that second, over its own network."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second
from app.visitors.models import VisitNetwork
from app.witnesses.kinds import Says, WitnessKind
from app.witnesses.statement import Statement

SECOND = timedelta(seconds=1)
ARRIVED = text("""
    SELECT network, count(*) AS results, count(DISTINCT visitor) AS visitors, min(received_at) AS heard_at
    FROM visit_result
    WHERE site_id = :site_id AND received_at >= :start AND received_at < :end AND NOT late AND flaw IS NULL
    GROUP BY network ORDER BY network
""")


async def statements_at(session: AsyncSession, site_id: int, at: datetime) -> list[Statement]:
    """Return what the results that arrived in this second say, by class of network.

    Only one over the site's own network proves that the link was up. Nothing here ever says that it was down.
    """
    start = floor_second(at)
    rows = await session.execute(ARRIVED, {"site_id": site_id, "start": start, "end": start + SECOND})
    return [
        Statement(
            WitnessKind.VISITOR,
            Says.UP if row.network == VisitNetwork.SAME else Says.NOTHING,
            start,
            start + SECOND,
            heard_at=row.heard_at,
            detail={"network": row.network, "results": row.results, "visitors": row.visitors},
        )
        for row in rows
    ]
