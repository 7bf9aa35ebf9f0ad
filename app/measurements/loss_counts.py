"""Counts the lost readings of outages, by who made them."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

LOSSES = text("""
    SELECT n.site_id, n.start, m.source, count(*) AS losses
    FROM json_to_recordset(cast(:rows AS json)) AS n(site_id int, start timestamptz, "end" timestamptz)
        JOIN measurement m ON m.site_id = n.site_id AND m.slot >= n.start AND m.slot < n."end"
            AND m.outcome = 'timeout'
    WHERE m.slot >= :first AND m.slot < :last
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")

SiteTime = tuple[int, datetime]  # site, start


async def count_losses(
    session: AsyncSession, ranges: Iterable[tuple[int, datetime, datetime]]
) -> dict[SiteTime, dict[str, int]]:
    """Return how many stored readings of (site, start, end) were lost: by site and start, then by their source.

    {} for a range of which none is stored (any more).
    """
    ranges = list(ranges)
    counts: dict[SiteTime, dict[str, int]] = defaultdict(dict)
    if ranges:
        rows = [{"site_id": site_id, "start": start, "end": end} for site_id, start, end in ranges]
        bounds = {"first": min(start for _, start, _ in ranges), "last": max(end for _, _, end in ranges)}
        for row in await session.execute(LOSSES, {"rows": orjson.dumps(rows).decode(), **bounds}):
            counts[row.site_id, row.start][row.source] = row.losses
    return dict(counts)
