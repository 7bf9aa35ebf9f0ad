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
from probes.contract import CENTRAL
from probes.reading_block import SOURCE_CODES, SOURCES, ReadingBlock

LAST_CELL = np.iinfo(np.int64).max
LONGEST_READING = timedelta(minutes=5)  # a device's has at most 100 packets, a second apart

# Stretches of whole seconds (key, start, end), half-open: disjoint, in order, and equal to what they round for anything
# that begins and ends with a whole second.
STRETCHES = """
    SELECT key, lower(stretch), upper(stretch)
    FROM (SELECT key, unnest(range_agg(int8range(low::bigint, high::bigint))) AS stretch FROM ({rows}) r
        WHERE low < high GROUP BY key) s
    ORDER BY 1, 2
"""
BLIND = text(
    STRETCHES.format(
        rows="""
    SELECT array_position(cast(:sources AS text[]), source) - 1 AS key,
        floor(extract(epoch FROM started_at)) AS low, ceil(extract(epoch FROM ended_at)) AS high
    FROM blind WHERE source = ANY(:sources) AND ended_at > :start AND started_at < :end"""
    )
)
HELD = text(
    STRETCHES.format(
        rows="""
    SELECT site_id AS key, ceil(extract(epoch FROM started_at)) AS low, floor(extract(epoch FROM lost_at)) + 1 AS high
    FROM suspect WHERE excused IS NOT FALSE AND lost_at >= :start AND started_at < :end
        AND site_id = ANY(cast(:sites AS int[]))"""
    )
)


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
    def __init__(self, blind: Stretches, held: Stretches) -> None:
        self._blind, self._held = blind, held

    def of(self, block: ReadingBlock) -> NDArray[np.bool_]:
        """Return of which readings what they lost is our own fault."""
        blind = self._blind.overlap(block.source, block.slot, ends_of(block))
        held = self._held.overlap(block.key, block.slot, block.slot + 1)
        ours: NDArray[np.bool_] = blind | held & (block.source == SOURCE_CODES[CENTRAL])
        return ours


async def read_our_faults(
    session: AsyncSession, start: datetime, end: datetime, *, site_ids: Collection[int]
) -> OurFaults:
    """Return what is known of these sites' readings in [start, end)."""
    blind = await session.execute(BLIND, {"start": start, "end": end + LONGEST_READING, "sources": list(SOURCES)})
    held = await session.execute(HELD, {"start": start, "end": end, "sites": sorted(site_ids)})
    return OurFaults(Stretches(blind.all()), Stretches(held.all()))


def ends_of(block: ReadingBlock) -> NDArray[np.int64]:
    """Return when each reading's last packet is answered or timed out, as `blind_ranges.reading_ends_at`."""
    return block.slot + np.maximum(block.sent - 1, 0) + LONGEST_PACKET_TIMEOUT_S
