"""Which delivered readings are of sites that their vantage looked at when they were taken."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres.array_text import array_text
from probes.reading_block import ReadingBlock

# By site and second: a stolen token tells nothing of what its vantage was not to look at.
OTHERS = text("""
    SELECT n.place - 1 FROM unnest(cast(cast(:sites AS text) AS int[]), cast(cast(:slots AS text) AS bigint[]))
        WITH ORDINALITY AS n(site_id, slot, place)
    WHERE NOT EXISTS (
        SELECT FROM site_configuration c
        WHERE c.site_id = n.site_id AND c.started_at <= to_timestamp(n.slot)
            AND (c.ended_at IS NULL OR c.ended_at > to_timestamp(n.slot))
            AND c.lifecycle = 'active' AND c.probe <> 'push' AND cast(:vantage AS smallint) = ANY(c.vantages)
    )
""")


async def find_unassigned(session: AsyncSession, readings: ReadingBlock, *, vantage: int) -> NDArray[np.bool_]:
    """Return of each reading whether its site was none of this vantage's in its second."""
    parameters = {"sites": array_text(readings.key), "slots": array_text(readings.slot), "vantage": vantage}
    mask = np.zeros(len(readings), bool)
    if places := list(await session.scalars(OTHERS, parameters)):
        mask[np.array(places)] = True
    return mask
