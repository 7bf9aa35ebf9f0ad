"""Counts hours of sites from their readings, and finds those that are to be counted again."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.latency import histogram_sql, histograms, rollup_sql
from app.latency.cells import Cells, cell_of, key_of, time_of
from app.latency.histogram_sql import COLUMN_NAMES
from app.latency.our_faults import LONGEST_READING, ends_of
from app.latency.reading_blocks import of_whole_hours, read_blocks, read_counted
from app.measurements import corrupt_packs
from probes.reading_block import ReadingBlock

HOUR, HOUR_S = timedelta(hours=1), 3600

REPLACE = text(
    rollup_sql.replace(
        "rollup_hour",
        "site_id, hour",
        COLUMN_NAMES,
        histogram_sql.histograms_of_parameters({"site_id": "int", "hour": "timestamptz"}),
    )
)
CLOSED = text("SELECT upto FROM rollup_watermark WHERE stage = 'closed' FOR SHARE")
SITES = text("SELECT id FROM site ORDER BY id")
MARK = text("""
    INSERT INTO stale_hour (site_id, hour) SELECT * FROM unnest(cast(:site_id AS int[]), cast(:hour AS timestamptz[]))
    ON CONFLICT DO NOTHING RETURNING site_id
""")


async def roll_up(session: AsyncSession, site_hours: Sequence[tuple[int, datetime]]) -> None:
    """Count these hours (site, start) and replace their rows.

    One of which no reading is stored keeps its row, and so does one from which readings are lost.
    """
    ranges = [(site_id, hour, hour + HOUR) for site_id, hour in site_hours]
    async with corrupt_packs.noting(session, (site_id for site_id, _ in site_hours)) as damaged:
        async for block, sent in read_counted(session, ranges):
            is_whole = of_whole_hours(block, damaged)
            whole = block.take(is_whole)
            counted = histograms.count(whole, sent[is_whole], _hour_of(whole))
            await session.execute(REPLACE, {**site_hours_of(counted.cell), **counted.parameters()})


async def mark_stale(
    session: AsyncSession, start: datetime, end: datetime, *, site_ids: Collection[int] | None = None
) -> int:
    """Mark the closed hours in which a reading that lost packets overlaps this range; return how many are new.

    Who closes an hour waits for this transaction.
    """
    end = min(end, await session.scalar(CLOSED))
    first = start - LONGEST_READING
    if first >= end:
        return 0
    sites = await session.scalars(SITES) if site_ids is None else sorted(site_ids)
    marked = 0
    async for block in read_blocks(session, [(site_id, first, end) for site_id in sites], lossy_only=True):
        overlapping = block.take(ends_of(block) > start.timestamp())
        parameters = site_hours_of(np.unique(_hour_of(overlapping)))
        marked += len((await session.execute(MARK, parameters)).all())
    return marked


def _hour_of(block: ReadingBlock) -> Cells:
    return cell_of(block.key, block.slot // HOUR_S)


def site_hours_of(cells: Cells) -> dict[str, list[Any]]:
    """Return the sites and the hours of cells as parameters."""
    return {
        "site_id": key_of(cells).tolist(),
        "hour": [from_slot(hour * HOUR_S) for hour in time_of(cells).tolist()],
    }
