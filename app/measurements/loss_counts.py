"""Counts the lost readings of outages, by who made them."""

from collections.abc import Iterable
from datetime import datetime
from math import ceil

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements import reader
from probes.contract import Outcome
from probes.reading_block import SOURCES

SiteTime = tuple[int, datetime]  # site, start


async def count_losses(
    session: AsyncSession, ranges: Iterable[tuple[int, datetime, datetime]]
) -> dict[SiteTime, dict[str, int]]:
    """Return how many stored readings of (site, start, end) were lost: by site and start, then by their source.

    Nothing of a range of which none is stored (any more).
    """
    ranges = list(ranges)
    lost = await reader.read(session, ranges, outcomes=[Outcome.TIMEOUT])  # by site and slot
    counts: dict[SiteTime, dict[str, int]] = {}
    for site_id, start, end in ranges:
        first, last = np.searchsorted(lost.key, (site_id, site_id + 1))
        low, high = first + np.searchsorted(lost.slot[first:last], (ceil(start.timestamp()), ceil(end.timestamp())))
        by_source = np.bincount(lost.source[low:high], minlength=len(SOURCES)).tolist()
        if low < high:
            counts[site_id, start] = dict(sorted(each for each in zip(SOURCES, by_source, strict=True) if each[1]))
    return counts
