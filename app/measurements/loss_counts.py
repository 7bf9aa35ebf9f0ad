"""Counts the lost readings of outages, by who made them.

Of weeks of an outage only the ends are read: packs in between say themselves how many of theirs were lost.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import ceil

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot, utc_now
from app.measurements import partitions, reader
from app.measurements.pack_store import DAY_S, DAYS_AFTER_S, HOUR_S, WITA_S
from probes.contract import Outcome
from probes.reading_block import SOURCES, ReadingBlock

SiteTime = tuple[int, datetime]  # site, start
SlotRange = tuple[int, int, int]  # site, first slot, end

OF_PACKS = text("""
    SELECT w.number, p.source, sum(p.timeouts)::int AS lost
    FROM unnest(cast(:sites AS int[]), cast(:starts AS timestamptz[]), cast(:ends AS timestamptz[]))
            WITH ORDINALITY AS w(site_id, start, until, number)
        JOIN reading_pack p ON p.site_id = w.site_id AND p.hour >= w.start AND p.hour < w.until
    WHERE p.hour >= :first AND p.hour < :last AND p.timeouts > 0
    GROUP BY w.number, p.source
""")


async def count_losses(
    session: AsyncSession, ranges: Iterable[tuple[int, datetime, datetime]]
) -> dict[SiteTime, dict[str, int]]:
    """Return how many stored readings of (site, start, end) were lost: by site and start, then by their source.

    Nothing of a range of which none is stored (any more).
    """
    ranges = list(ranges)
    whole = [(site_id, ceil(start.timestamp()), ceil(end.timestamp())) for site_id, start, end in ranges]
    packed = to_slot((await partitions.read_watermarks(session))["packed"])  # rows of before are in packs, too
    inner = [_packs_within(each, packed) for each in whole]
    counts = await _count_in_packs(session, inner)
    ends = [(site_id, start, inner[n][1]) for n, (site_id, start, _) in enumerate(whole)]
    ends += [(site_id, inner[n][2], end) for n, (site_id, _, end) in enumerate(whole)]
    lost = await reader.read(
        session,
        [(site_id, from_slot(start), from_slot(end)) for site_id, start, end in ends],
        outcomes=[Outcome.TIMEOUT],
    )  # by site and slot
    for n, each in enumerate(ends):
        counts[n % len(ranges)].update(_count_within(lost, each))
    return {
        (site_id, start): dict(sorted((SOURCES[source], count) for source, count in counts[n].items() if count))
        for n, (site_id, start, _) in enumerate(ranges)
        if counts[n].total()
    }


def _packs_within(whole: SlotRange, packed: int) -> SlotRange:
    """Return the part of a range that begins and ends with a pack, whether packs are of hours or of days."""
    site_id, start, end = whole
    days_before = utc_now().timestamp() - DAYS_AFTER_S
    last = min(end, packed)
    first = start + -(start + WITA_S) % (DAY_S if start < days_before else HOUR_S)
    last -= (last + WITA_S) % (DAY_S if last < days_before else HOUR_S)
    return (site_id, first, last) if first < last else (site_id, end, end)


async def _count_in_packs(session: AsyncSession, ranges: Sequence[SlotRange]) -> list[Counter[int]]:
    """Return for each range how many readings were lost, by index into SOURCES."""
    counts = [Counter[int]() for _ in ranges]
    if not ranges:
        return counts
    sites, starts, ends = ([*column] for column in zip(*ranges, strict=True))
    bounds = {"first": from_slot(min(starts)), "last": from_slot(max(ends))}
    moments = {"starts": [from_slot(slot) for slot in starts], "ends": [from_slot(slot) for slot in ends]}
    for row in await session.execute(OF_PACKS, {"sites": sites, **moments, **bounds}):
        counts[row.number - 1][row.source] += row.lost
    return counts


def _count_within(lost: ReadingBlock, within: SlotRange) -> Counter[int]:
    site_id, start, end = within
    first, last = np.searchsorted(lost.key, (site_id, site_id + 1))
    low, high = first + np.searchsorted(lost.slot[first:last], (start, end))
    by_source = np.bincount(lost.source[low:high], minlength=len(SOURCES)).tolist()
    return Counter(dict(enumerate(by_source)))
