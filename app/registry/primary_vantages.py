"""Which vantage's readings count for latency: where several look at a site, those of its primary alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from probes.contract import VANTAGES
from probes.reading_block import IS_LOOK, SOURCE_CODES, ReadingBlock

PRIMARIES = text("""
    SELECT site_id, ceil(extract(epoch FROM started_at))::bigint,
        coalesce(ceil(extract(epoch FROM ended_at))::bigint, cast(9223372036854775807 AS bigint)), vantages[1]
    FROM site_configuration WHERE cardinality(vantages) > 1 ORDER BY site_id, started_at
""")


class PrimaryVantages:
    """By site and time, for the times in which several vantages look. `rows`: by site and start; none overlaps."""

    def __init__(self, rows: Sequence[Any]) -> None:
        sites, starts, ends, primaries = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 4).T
        self._starts, self._sites, self._ends = _places(sites, starts), sites, ends
        self._sources = np.array([SOURCE_CODES[VANTAGES[primary]] for primary in primaries.tolist()], np.int64)

    def counted(self, block: ReadingBlock) -> ReadingBlock:
        """Return the block without what other vantages than the primary read."""
        if not len(self._sites):
            return block
        row = np.searchsorted(self._starts, _places(block.key, block.slot), side="right") - 1
        is_dated = (row >= 0) & (self._sites[row] == block.key) & (block.slot < self._ends[row])
        beside = is_dated & IS_LOOK[block.source] & (block.source != self._sources[row])
        return block.take(~beside) if beside.any() else block


def _places(sites: NDArray[Any], seconds: NDArray[Any]) -> NDArray[np.int64]:
    """Return one number for a site and a second, in the order of sites and then of seconds."""
    places: NDArray[np.int64] = sites.astype(np.int64) << 32 | seconds.astype(np.int64).clip(0, 2**32 - 1)
    return places


async def load_primaries(session: AsyncSession) -> PrimaryVantages:
    return PrimaryVantages((await session.execute(PRIMARIES)).all())
