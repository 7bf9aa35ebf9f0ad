"""What visitors measured in each village in the last days, for the public page: few of them have no figure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

DAYS, LEAST_VISITORS = 7, 3  # fewer would tell what one person's phone did
VILLAGES = text("""
    WITH own AS (
        SELECT s.village_code, r.visitor, count(*) AS results, bool_and(r.network = 'same') AS sure,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY r.rtt_us) AS rtt_us,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY r.down_mbps) AS down_mbps,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY r.up_mbps) AS up_mbps
        FROM visit_result r JOIN site s ON s.id = r.site_id
        WHERE r.at >= :start AND r.flaw IS NULL AND r.network IN ('same', 'unknown') AND s.kind = 'access_point'
            AND s.lifecycle = 'active' AND NOT s.technology = ANY(cast(:hidden AS text[]))
        GROUP BY s.village_code, r.visitor
    )
    SELECT village_code, sum(results)::int AS results, count(*)::int AS visitors, bool_and(sure) AS sure,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY rtt_us) / 1000 AS rtt_ms,
        count(down_mbps)::int AS down_visitors, percentile_cont(0.5) WITHIN GROUP (ORDER BY down_mbps) AS down_mbps,
        count(up_mbps)::int AS up_visitors, percentile_cont(0.5) WITHIN GROUP (ORDER BY up_mbps) AS up_mbps
    FROM own GROUP BY village_code
""")


@dataclass(frozen=True, slots=True)
class VillageVisitors:
    """Medians over visitors of each one's own median, None of fewer than LEAST_VISITORS.

    `sure`: all came over a network that the village's own devices came from.
    """

    results: int = 0
    visitors: int = 0
    sure: bool = True
    rtt_ms: float | None = None
    down_mbps: float | None = None
    up_mbps: float | None = None


async def by_village(
    session: AsyncSession, *, hidden_technologies: Collection[str], now: datetime
) -> Mapping[str, VillageVisitors]:
    """Return the figures of the last DAYS, without what came from elsewhere, by the village's code."""
    bounds = {"start": now - timedelta(days=DAYS), "hidden": list(hidden_technologies)}
    return {
        row.village_code: VillageVisitors(
            row.results,
            row.visitors,
            row.sure,
            _shown(row.rtt_ms, row.visitors),
            _shown(row.down_mbps, row.down_visitors),
            _shown(row.up_mbps, row.up_visitors),
        )
        for row in await session.execute(VILLAGES, bounds)
    }


def _shown(figure: float | None, visitors: int) -> float | None:
    return figure if visitors >= LEAST_VISITORS else None
