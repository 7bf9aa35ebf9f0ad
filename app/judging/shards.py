"""Shards: which of several workers judges a site. With one shard, the default, nothing here asks the database.

`site_status.shard` says who judges a site now: the holder of that shard, and nobody else. Only this holder gives it
away, in a transaction that judges (`shard_trees`). Where a site should be follows from its tree, which is judged in one
place. Trees with a site that pushes stay in the leading worker's shard: whether a push is missed depends on all others.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres import lock_ids
from app.postgres.engine import sqlstate

LEADERS = 0  # the shard of the leading worker
MOST_SHARDS = 16
SHARDS_COUNTER = "judging-shards"  # its version is their number
SEAT = "shard seat"  # in a session's `info`
SERIALIZED = "serialized"  # in a session's `info`

MULTIPLIER, BITS = 2_654_435_761, 32  # Knuth's: neighbouring ids part

READ_SHARDS = text("SELECT version FROM change_counter WHERE name = :name")
WRITE_SHARDS = text("""
    INSERT INTO change_counter VALUES (:name, :shards) ON CONFLICT (name) DO UPDATE SET version = excluded.version
""")
LONGEST_WAIT = "10s"  # less than a connection waits for an answer: an error of the server's is no doubt about a commit
SERIALIZE = text("SELECT set_config('lock_timeout', :longest, true), pg_advisory_xact_lock(:lock)")
NO_LIMIT = text("SET LOCAL lock_timeout TO DEFAULT")
LOCK_NOT_AVAILABLE = "55P03"

SiteIds = NDArray[np.int32]
Mask = NDArray[np.bool_]


def shard_of_trees(roots: NDArray[np.int64], shards: int) -> NDArray[np.int16]:
    """Return the shard of the trees below these topmost sites."""
    mixed = (roots.astype(np.uint64) * np.uint64(MULTIPLIER)) % np.uint64(2**BITS) >> np.uint64(BITS // 2)
    return (mixed % np.uint64(shards)).astype(np.int16)


class ShardsBusy(TimeoutError):
    """Another shard judges for long. Nothing was written: the same is tried again."""


class ShardSeat:
    """A shard and its sites, in memory while a worker holds it. It is exact: only the holder gives sites away."""

    def __init__(self, shard: int, shards: int) -> None:
        self.shard, self.shards = shard, shards
        self._owned: Mask = np.zeros(1024, bool)  # by site id

    def __len__(self) -> int:
        return int(self._owned.sum())

    def clear(self) -> None:
        self._owned[:] = False

    def owns(self, site_ids: SiteIds) -> Mask:
        known = (site_ids >= 0) & (site_ids < len(self._owned))
        owned: Mask = self._owned[np.where(known, site_ids, 0)] & known
        return owned

    def add(self, site_ids: Collection[int]) -> None:
        ids = np.fromiter(site_ids, np.int64, len(site_ids))
        most = int(ids.max(initial=0)) + 1
        if most > len(self._owned):
            self._owned = np.concatenate([self._owned, np.zeros(max(most, 2 * len(self._owned)), bool)])
        self._owned[ids] = True

    def remove(self, site_ids: Collection[int]) -> None:
        ids = np.fromiter(site_ids, np.int64, len(site_ids))
        self._owned[ids[ids < len(self._owned)]] = False


def seat_of(session: AsyncSession) -> ShardSeat | None:
    """Return the seat that this transaction judges for; None while there is one shard."""
    seat: ShardSeat | None = session.info.get(SEAT)
    return seat


async def serialize(session: AsyncSession) -> None:
    """Wait until no other shard judges more than steady readings; until the commit none begins to.

    What one site's change sets off is of all sites: mass outages, shared incidents, versions. Nothing with one shard.
    Raises ShardsBusy.
    """
    if seat_of(session) is None or session.info.get(SERIALIZED):
        return
    try:
        await session.execute(SERIALIZE, {"lock": lock_ids.SERIAL_JUDGING, "longest": LONGEST_WAIT})
    except DBAPIError as error:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise ShardsBusy from error
        raise
    await session.execute(NO_LIMIT)
    session.info[SERIALIZED] = True


async def read_shards(session: AsyncSession) -> int:
    """Return how many shards there are; 0 while the leading worker changes that."""
    shards = await session.scalar(READ_SHARDS, {"name": SHARDS_COUNTER})
    return 1 if shards is None else int(shards)


async def write_shards(session: AsyncSession, shards: int) -> None:
    await session.execute(WRITE_SHARDS, {"name": SHARDS_COUNTER, "shards": shards})
