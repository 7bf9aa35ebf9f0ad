"""Splits readings by who judges their sites. It may be somewhat old: holders pass on what is not theirs."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.shards import LEADERS, SiteIds, read_shards

COUNTED_EVERY_S = 10.0
READ_EVERY_S = 300.0

ELSEWHERE = text(f"SELECT site_id, shard FROM site_status WHERE shard <> {LEADERS}")


class ShardMap:
    """The shard of each site, as it was read last. With one shard the database is asked for their number alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shards = 1
        self._counted_at = self._read_at = float("-inf")
        self._shard_of = np.zeros(0, np.int16)  # by site id

    async def shards_of(self, session: AsyncSession, site_ids: SiteIds) -> NDArray[np.int16]:
        """Return the shard of each site; one that is unknown here is the leader's."""
        await self._refresh(session)
        known = (site_ids >= 0) & (site_ids < len(self._shard_of))
        if not known.any():
            return np.full(len(site_ids), LEADERS, np.int16)
        return np.where(known, self._shard_of[np.where(known, site_ids, 0)], LEADERS).astype(np.int16)

    async def _refresh(self, session: AsyncSession) -> None:
        """Read what is too old; meanwhile others go on with it."""
        now = self._clock()
        if now - self._counted_at >= COUNTED_EVERY_S:
            self._counted_at = now
            shards = await read_shards(session)
            if shards != self._shards:
                self._shards, self._read_at = shards, float("-inf")
        if self._shards != 1 and now - self._read_at >= READ_EVERY_S:
            self._read_at = now
            rows = (await session.execute(ELSEWHERE)).all()
            shard_of = np.zeros(max((row.site_id for row in rows), default=-1) + 1, np.int16)
            shard_of[[row.site_id for row in rows]] = [row.shard for row in rows]
            self._shard_of = shard_of
        elif self._shards == 1:
            self._shard_of = self._shard_of[:0]
