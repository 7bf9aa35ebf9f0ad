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
    FROM site_configuration WHERE cardinality(vantages) > 1
""")


class PrimaryVantages:
    """By site and time, for the times in which several vantages look."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def counted(self, block: ReadingBlock) -> ReadingBlock:
        """Return the block without what other vantages than the primary read."""
        beside = np.zeros(len(block), bool)
        for site_id, start, end, primary in self._of(block.key):
            is_other = IS_LOOK[block.source] & (block.source != SOURCE_CODES[VANTAGES[primary]])
            beside |= is_other & (block.key == site_id) & (block.slot >= start) & (block.slot < end)
        return block.take(~beside) if beside.any() else block

    def _of(self, keys: NDArray[np.int32]) -> list[Any]:
        if not self._rows:
            return []
        present = set(np.unique(keys).tolist())
        return [row for row in self._rows if row[0] in present]


async def load_primaries(session: AsyncSession) -> PrimaryVantages:
    return PrimaryVantages((await session.execute(PRIMARIES)).all())
