"""Reads of the past on a replica, where it has everything that was committed before they began.

So nobody misses what they have just written themselves, through whichever process, and no response looks newer than
it is.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres.engine import Sessions, is_unavailable, transaction

log = structlog.get_logger()

CATCHES_UP_S, POLL_S = 0.2, 0.02  # a replica is behind by some milliseconds
AVOIDED_S = 5.0  # one that is further behind, or away

# Of another system a replica may well have replayed more than was ever committed here
IDENTITY = "(SELECT system_identifier FROM pg_control_system()) || '/' || current_database()"
COMMITTED = text(f"SELECT cast(pg_current_wal_flush_lsn() AS text) AS lsn, {IDENTITY} AS identity")
# A replica that has become the primary, or was it and does not know of its successor, is none
HAS_REPLAYED = text(f"""
    SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= cast(cast(:lsn AS text) AS pg_lsn) AS has_replayed,
        {IDENTITY} AS identity
""")


class Behind(Exception):
    """The replica lacks what was committed before."""


class Foreign(Exception):
    """What SINYAL_DATABASE_READ_URL leads to is another database than SINYAL_DATABASE_URL."""


class ReadReplica:
    """Opens transactions that only read. Without a replica they are the primary's, at no cost."""

    def __init__(self, primary: Callable[[], Sessions], clock: Callable[[], float] = time.monotonic) -> None:
        self._primary, self._clock = primary, clock
        self.sessions: Sessions | None = None  # the replica's
        self._avoided_until = float("-inf")

    @asynccontextmanager
    async def transaction(self, otherwise: AsyncSession | None = None) -> AsyncIterator[AsyncSession]:
        """`otherwise`: the session on the primary that is open already."""
        async with AsyncExitStack() as stack:
            replica = await self._open_replica(stack)
            session = replica if replica is not None else otherwise
            if session is None:
                session = await stack.enter_async_context(transaction(self._primary()))
            try:
                yield session
            except Exception as error:
                if replica is not None and is_unavailable(error):
                    self._avoid(error)  # whoever asks again reads from the primary
                raise

    async def _open_replica(self, stack: AsyncExitStack) -> AsyncSession | None:
        """Return a transaction of a replica that has what is committed now; None while there is none."""
        if self.sessions is None or self._clock() < self._avoided_until:
            return None
        try:
            async with transaction(self._primary()) as session:
                committed = (await session.execute(COMMITTED)).one()
            async with AsyncExitStack() as opening:
                session = await opening.enter_async_context(transaction(self.sessions))
                await self._wait_for(session, committed)
                stack.push_async_exit(opening.pop_all())
        except Exception as error:
            if not isinstance(error, Behind | Foreign) and not is_unavailable(error):
                raise
            self._avoid(error)
            return None
        return session

    async def _wait_for(self, session: AsyncSession, committed: Row[Any]) -> None:
        """Raises Behind, Foreign."""
        give_up_at = self._clock() + CATCHES_UP_S
        while True:
            replica = (await session.execute(HAS_REPLAYED, {"lsn": committed.lsn})).one()
            if replica.identity != committed.identity:
                raise Foreign
            if replica.has_replayed:
                return
            if self._clock() >= give_up_at:
                raise Behind
            await asyncio.sleep(POLL_S)

    def _avoid(self, error: Exception) -> None:
        log.warning("replica_avoided", seconds=AVOIDED_S, error=type(error).__name__)
        self._avoided_until = self._clock() + AVOIDED_S
