"""Reads many sites' readings in blocks that this process has counted before anything else in it is late."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import to_slot
from app.latency.cells import cell_of
from app.latency.histograms import packets_sent
from app.latency.our_faults import read_our_faults
from app.measurements import reader
from app.measurements.reader import SiteRange
from app.registry.primary_vantages import load_primaries
from probes.contract import VANTAGES
from probes.reading_block import ReadingBlock

HOUR_S = 3600
BLOCK = timedelta(minutes=50_000)  # of site time: so many readings or a few times as many, some 50 ms


async def read_blocks(
    session: AsyncSession, ranges: Iterable[SiteRange], *, lossy_only: bool = False, vantage: int | None = None
) -> AsyncIterator[ReadingBlock]:
    """Yield the readings of sites in these half-open ranges, those of one range together; no empty block.

    Those of one vantage; None: where several look at a site, of its primary alone.

    `lossy_only`: those alone that are no fault and lost packets.
    """
    primaries = await load_primaries(session)
    sources = None if vantage is None else [VANTAGES[vantage]]
    for some in _split(ranges):
        block = await reader.read(session, some, sources=sources, lossy_only=lossy_only)
        block = primaries.counted(block) if vantage is None else block
        if len(block):
            yield block


def _split(ranges: Iterable[SiteRange]) -> Iterator[list[SiteRange]]:
    waiting, length = list[SiteRange](), timedelta()
    for site_range in ranges:
        _, start, end = site_range
        waiting.append(site_range)
        length += end - start
        if length >= BLOCK:
            yield waiting
            waiting, length = [], timedelta()
    if waiting:
        yield waiting


async def read_counted(
    session: AsyncSession, ranges: Sequence[SiteRange], *, vantage: int | None = None
) -> AsyncIterator[tuple[ReadingBlock, NDArray[np.int16]]]:
    """Yield the readings as `read_blocks` does, and how many packets of each count as sent."""
    if not ranges:
        return
    first, last = min(start for _, start, _ in ranges), max(end for _, _, end in ranges)
    faults = await read_our_faults(session, first, last, site_ids={site_id for site_id, _, _ in ranges})
    async for block in read_blocks(session, ranges, vantage=vantage):
        yield block, packets_sent(block, faults.of(block))


def of_whole_hours(block: ReadingBlock, damaged: Mapping[int, Collection[datetime]]) -> NDArray[np.bool_]:
    """Return which readings are of hours from which none is lost (corrupt_packs.noting)."""
    lost = [(site_id, to_slot(hour) // HOUR_S) for site_id, hours in damaged.items() for hour in hours]
    sites, hours = np.array(lost, np.int64).reshape(-1, 2).T
    return np.isin(cell_of(block.key, block.slot // HOUR_S), cell_of(sites, hours), invert=True)
