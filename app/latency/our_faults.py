"""What readings lost by our own fault: a blind range of their source overlaps them, or it is a suspect's lost look."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.latency.cells import cell_of
from app.profiles import LONGEST_PACKET_TIMEOUT_S
from probes.reading_block import IS_LOOK, SOURCES, ReadingBlock

LAST_CELL = np.iinfo(np.int64).max
LONGEST_READING = timedelta(minutes=5)  # a device's has at most 100 packets, a second apart

# By site the lost looks of suspects, by source (numbered downwards from -1) the blind ranges: stretches (key, start,
# end) of whole seconds, half-open, disjoint and in order. Nothing that begins and ends with a second sees the rounding.
STRETCHES = text("""
    SELECT key, lower(stretch), upper(stretch)
    FROM (
        SELECT key, unnest(range_agg(int8range(low::bigint, high::bigint))) AS stretch
        FROM (
            SELECT site_id AS key, ceil(extract(epoch FROM started_at)) AS low,
                floor(extract(epoch FROM lost_at)) + 1 AS high
            FROM suspect WHERE excused IS NOT FALSE AND site_id = ANY(cast(:sites AS int[]))
                AND lost_at >= :start AND started_at < :end
            UNION ALL
            SELECT -array_position(cast(:sources AS text[]), source), floor(extract(epoch FROM started_at)),
                ceil(extract(epoch FROM ended_at))
            FROM blind WHERE source = ANY(:sources)
                AND ended_at > :start AND started_at < cast(:end AS timestamptz) + cast(:longest AS interval)
        ) s WHERE low < high GROUP BY key
    ) s ORDER BY 1, 2
""")


class Stretches:
    """Of many keys, disjoint and in order."""

    def __init__(self, rows: Sequence[Any]) -> None:
        keys, lows, highs = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 3).T
        self._starts, self._ends = cell_of(keys, lows), cell_of(keys, highs)

    def overlap(self, key: NDArray[Any], start: NDArray[Any], end: NDArray[Any]) -> NDArray[np.bool_]:
        """Return of each (key, start, end), half-open, whether a stretch of its key overlaps it."""
        ends_later = np.searchsorted(self._ends, cell_of(key, start), side="right")
        overlaps: NDArray[np.bool_] = np.append(self._starts, LAST_CELL)[ends_later] < cell_of(key, end)
        return overlaps


class OurFaults:
    def __init__(self, stretches: Stretches) -> None:
        self._stretches = stretches

    def of(self, block: ReadingBlock) -> NDArray[np.bool_]:
        """Return of which readings what they lost is our own fault."""
        is_blind = self._stretches.overlap(-1 - block.source, block.slot, ends_of(block))
        is_held = self._stretches.overlap(block.key, block.slot, block.slot + 1)
        ours: NDArray[np.bool_] = is_blind | is_held & IS_LOOK[block.source]
        return ours


async def read_our_faults(
    session: AsyncSession, start: datetime, end: datetime, *, site_ids: Collection[int]
) -> OurFaults:
    """Return what is known of these sites' readings in [start, end)."""
    bounds = {"start": start, "end": end, "longest": LONGEST_READING}
    rows = await session.execute(STRETCHES, {**bounds, "sites": sorted(site_ids), "sources": list(SOURCES)})
    return OurFaults(Stretches(rows.all()))


def ends_of(block: ReadingBlock) -> NDArray[np.int64]:
    """Return when each reading's last packet is answered or timed out, as `blind_ranges.reading_ends_at`."""
    return block.slot + np.maximum(block.sent - 1, 0) + LONGEST_PACKET_TIMEOUT_S
