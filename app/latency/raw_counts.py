"""Counts from single readings what no rollup holds of a period: its odd ends, the running hour, stale hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SingleSite, SiteGroup
from app.core.clock import WITA_SQL
from app.core.errors import QueryTimeout
from app.latency.histograms import Histograms, count
from app.latency.reading_blocks import read_counted
from app.measurements.reader import SiteRange

HOUR = timedelta(hours=1)
MOST_SITE_TIME = timedelta(minutes=10_000_000)  # so many readings: those of 100,000 sites in 100 minutes, in some 10 s

SiteHour = tuple[int, datetime]

RANGES = """
    SELECT site_id, greatest(since, low), least(until, high)
    FROM ({members}) m, unnest(cast(:lows AS timestamptz[]), cast(:highs AS timestamptz[])) AS part(low, high)
    WHERE since < until AND since < high AND until > low
    ORDER BY 1, 2
"""
STALE_HOURS = f"""
    SELECT site_id, hour FROM ({{members}}) m JOIN stale_hour s USING (site_id)
    WHERE hour >= :first AND hour < :last AND hour >= since AND hour < until
        AND (hour AT TIME ZONE {WITA_SQL})::date = ANY(cast(:days AS date[]))
    ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class RawCounts:
    """`histograms`: several of a part, which `cell` numbers from 1. `measured`: the sites whose packets they count."""

    histograms: Histograms
    measured: Sequence[int]
    stale: Sequence[SiteHour]


async def list_stale_hours(
    session: AsyncSession, sites: SingleSite | SiteGroup, first: datetime, last: datetime, days: Sequence[date]
) -> list[SiteHour]:
    """Return the hours of sites that wait to be counted again, of those that begin on these days in [first, last)."""
    parameters = {**sites.parameters, "first": first, "last": last, "days": days}
    rows = await session.execute(text(STALE_HOURS.format(members=sites.members_sql)), parameters)
    return [(site_id, hour) for site_id, hour in rows]


async def count_raw(
    session: AsyncSession,
    sites: SingleSite | SiteGroup,
    parts: Sequence[datetime],
    ranges: Sequence[tuple[datetime, datetime]],
    stale: Sequence[SiteHour],
    *,
    vantage: int | None = None,
) -> RawCounts:
    """Count the readings of these ranges and of the stale hours by part, given where each part starts.

    `vantage`: those of this one. Raises QueryTimeout, before it reads any, for too many.
    """
    site_ranges = [(site_id, hour, hour + HOUR) for site_id, hour in stale]
    site_ranges += await _list_site_ranges(session, sites, ranges)
    if sum((end - start for _, start, end in site_ranges), timedelta()) > MOST_SITE_TIME:
        raise QueryTimeout
    starts = np.array([start.timestamp() for start in parts], np.int64)
    histograms, measured = [], set[int]()
    async for block, sent in read_counted(session, site_ranges, vantage=vantage):
        histograms.append(count(block, sent, np.searchsorted(starts, block.slot, side="right")))
        measured.update(np.unique(block.key[sent > 0]).tolist())
    return RawCounts(Histograms.concat(histograms), sorted(measured), stale)


async def _list_site_ranges(
    session: AsyncSession, sites: SingleSite | SiteGroup, ranges: Sequence[tuple[datetime, datetime]]
) -> list[SiteRange]:
    """Return of each site the parts of these ranges in which it belongs to the group."""
    if isinstance(sites, SingleSite):
        return [(sites.site_id, low, high) for low, high in ranges]
    if not ranges:
        return []
    lows, highs = [low for low, _ in ranges], [high for _, high in ranges]
    parameters = {**sites.parameters, "lows": lows, "highs": highs}
    rows = await session.execute(text(RANGES.format(members=sites.members_sql)), parameters)
    return [(site_id, start, end) for site_id, start, end in rows]
