"""Which shards this worker judges: those that are free, until each worker has its share; more when another one ends.

Workers know of each other by a lock that all of them share, on connections that end with them.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import structlog

from app.judging.shards import SHARDS_COUNTER
from app.postgres import lock_ids
from app.postgres.engine import CONNECTION_ERRORS, connect_args
from app.postgres.leader_lock import LeaderLock
from app.postgres.leadership import ShardLeadership
from app.postgres.urls import dsn

log = structlog.get_logger()

EVERY_S = 1.0
WAITS_S = 2.0  # before a shard is taken: after the database was away, others may not have come back yet
LEADER_WAITS_S = 5.0  # the leading worker has enough to do: others come first

JOIN = "SELECT pg_advisory_lock_shared($1)"
LOOK = """
    SELECT coalesce((SELECT version FROM change_counter WHERE name = $1), 1) AS shards,
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint << 32 | objid::bigint = $2) AS workers
"""

Judge = Callable[[LeaderLock, int, int, asyncio.Event], Coroutine[Any, Any, None]]  # lock, shard, shards, until


def fair_share(shards: int, workers: int, *, leads: bool) -> int:
    """Return how many shards beside the leader's a worker judges at most: that one counts as a share of its own."""
    return max(0, -(-shards // max(workers, 1)) - leads)


@dataclass
class ShardSeats:
    """`judge` judges a shard, whose lock was won, until the lock is lost or the event is set."""

    url: str
    judge: Judge
    is_leading: Callable[[], bool]
    _seats: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = field(default_factory=dict)
    _locks: dict[int, LeaderLock] = field(default_factory=dict)  # of shards that are not judged here
    _connection: asyncpg.Connection | None = None
    _wanted_since: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then all shards are given up in order."""
        try:
            while not stop.is_set():
                await self.look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await stop.wait()
        finally:
            await self._give_up(list(self._seats))
            for lock in self._locks.values():
                lock.abandon()
            if self._connection is not None:
                self._connection.terminate()

    async def look(self) -> None:
        """Take a shard that is free, or give up one that another worker lacks. While the database is away: neither."""
        seen = await self._look()
        for shard in [shard for shard, (_, task) in self._seats.items() if task.done()]:
            self._seats.pop(shard)
        if seen is None:
            return
        shards, workers = seen
        share = fair_share(shards, workers, leads=self.is_leading())
        excess = [shard for shard in self._seats if shard >= shards]
        excess += sorted(set(self._seats) - set(excess))[share:]
        if excess:
            await self._give_up(excess)
        elif len(self._seats) >= share:
            self._wanted_since = None
        elif self._has_waited():
            await self._take_one(shards)

    async def _look(self) -> tuple[int, int] | None:
        """Return how many shards and workers there are."""
        try:
            if self._connection is None or self._connection.is_closed():
                settings = connect_args("shard seats")["server_settings"]
                connecting = asyncpg.connect(dsn(self.url), timeout=5, command_timeout=5, server_settings=settings)
                self._connection = await connecting
                await self._connection.execute(JOIN, lock_ids.WORKERS)
            (row,) = await self._connection.fetch(LOOK, SHARDS_COUNTER, lock_ids.WORKERS)
        except CONNECTION_ERRORS as error:
            log.warning("shard_seats_unreachable", error=repr(error))
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            return None
        return row["shards"], row["workers"]

    async def _take_one(self, shards: int) -> None:
        for shard in range(1, shards):
            if shard not in self._seats:
                lock = self._locks.pop(shard, None) or LeaderLock(self.url, ShardLeadership(shard))
                if await lock.try_win():
                    self._wanted_since = None
                    until = asyncio.Event()
                    task = asyncio.create_task(self.judge(lock, shard, shards, until), name=f"shard {shard}")
                    self._seats[shard] = until, task
                    return
                self._locks[shard] = lock

    def _has_waited(self) -> bool:
        now = time.monotonic()
        self._wanted_since = self._wanted_since or now
        return now - self._wanted_since >= (LEADER_WAITS_S if self.is_leading() else WAITS_S)

    async def _give_up(self, shards: list[int]) -> None:
        given_up = [self._seats.pop(shard) for shard in shards]
        for until, _ in given_up:
            until.set()
        await asyncio.gather(*(task for _, task in given_up), return_exceptions=True)
