"""One active process of a kind: it holds an advisory lock on a connection, and each commit checks its generation.

The lock alone is no fence: PostgreSQL frees it the moment the leader's connection ends, and the leader learns of that
later. So whoever wins the lock also takes the next generation, and a transaction whose generation is no longer the
newest is rolled back.
"""

import asyncio
import contextlib
from typing import Any

import asyncpg
import structlog
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import Session

from app.postgres.engine import CONNECTION_ERRORS, Sessions, connect_args
from app.postgres.leadership import Leadership, ShardLeadership
from app.postgres.urls import dsn
from app.postgres.work_signals import JUDGED_CHANNEL, WORK_CHANNEL, WorkSignals

log = structlog.get_logger()

POLL_S = 1.0
CHECK_S = 5.0  # an open connection is asked so often whether it works; one that was closed is opened after POLL_S
GRACE_S = 10.0  # after a lost connection our own former session may hold the lock for a while yet
# A leader that stopped, or whose machine is cut off, has lost the lock then, though its connection looks alive.
SILENT_S = 30
YIELD_S = 5.0  # a leader that lives asks several times in this time; what it read meanwhile is still with it

# Seconds since 1970, so that a restored database gives no generation out twice.
NEXT_GENERATION = """
    INSERT INTO change_counter AS c VALUES ($1, extract(epoch FROM clock_timestamp())::bigint)
    ON CONFLICT (name) DO UPDATE SET version = greatest(c.version + 1, excluded.version) RETURNING version
"""
END_WHEN_SILENT = f"SELECT set_config('idle_session_timeout', '{SILENT_S}s', false)"
NEWEST_GENERATION = "SELECT version FROM change_counter WHERE name = $1"

# A transaction that wrote nothing needs no check. The row lock keeps the next leader from winning until the commit.
IS_LEADER = """
    SELECT CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN true
        ELSE EXISTS (SELECT FROM change_counter WHERE name = $1 AND version = $2 FOR SHARE) END
"""


class NoLongerLeader(Exception):
    """Another process leads: the transaction was rolled back, and nothing may be written any more."""


class LeaderLock:
    """Its connection also listens for work: it is direct, where a pooler may stand before all others."""

    def __init__(self, url: str, leadership: Leadership | ShardLeadership = Leadership.WORKER) -> None:
        self._leadership = leadership
        self._url = dsn(url)
        self._connection: asyncpg.Connection | None = None
        self._is_locked = False
        self._was_refused = False  # when the database was asked last, another process led
        self._generation = 0
        self._superseded = asyncio.Event()
        self._news = asyncio.Event()  # the lead may be lost
        self._one_query = asyncio.Lock()  # at a time on the connection
        self._speaking: asyncio.Task[None] | None = None
        self._is_watched = False  # by `wait_until_lost`, which asks often enough to be heard
        self.signals = WorkSignals()

    @property
    def _counter(self) -> str:
        return self._leadership.value

    @property
    def is_superseded(self) -> bool:
        """Whether another process is known to have won since."""
        return self._superseded.is_set()

    async def win(self) -> None:
        """Wait until this process leads. Where the database was away, whoever led before may go on first."""
        is_waiting = False
        while self._must_yield or not await self.try_win():
            if not is_waiting:
                log.info("standing_by")
                is_waiting = True
            is_back = self._must_yield and await self._connect()
            await asyncio.sleep(YIELD_S if is_back else POLL_S)

    @property
    def _must_yield(self) -> bool:
        """Whether the database was away while another led: winning at once would discard what that one kept."""
        return self._was_refused and not self._is_connected

    async def try_win(self) -> bool:
        """Take the lock and the next generation. The database must have its tables."""
        if (
            not await self.try_lock()
            or (generation := await self._fetch(NEXT_GENERATION, self._leadership.value)) is None
        ):
            return False
        self._generation, self._superseded, self._is_watched = generation, asyncio.Event(), False
        await self._begin_to_lead()
        return True

    async def try_lock(self) -> bool:
        """Take the lock alone: no process can win then. False if it is held, or the database is unavailable."""
        if not await self._connect():
            return False
        got = await self._fetch("SELECT pg_try_advisory_lock($1)", self._leadership.lock_id)
        self._is_locked, self._was_refused = bool(got), self._was_refused if got is None else not got
        return self._is_locked

    @property
    def _is_connected(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def _connect(self) -> bool:
        """Open the connection unless it is open. False if the database is unavailable."""
        if self._is_connected:
            return True
        self._is_locked = False
        try:
            settings = connect_args(f"{self._leadership.name.lower()} lock")["server_settings"]
            connecting = asyncpg.connect(self._url, timeout=5, command_timeout=5, server_settings=settings)
            self._connection = await connecting
        except CONNECTION_ERRORS as error:
            self._disconnect(error)
            return False
        return True

    def open_sessions(self, engine: AsyncEngine) -> Sessions:
        """Sessions that write for the generation won last: their commits raise NoLongerLeader after another has won."""
        generation, counter, superseded, news = self._generation, self._leadership.value, self._superseded, self._news

        class FencedSession(Session):
            """A class of its own, as the listener is on it."""

        def require_leader(session: Session) -> None:
            session.flush()  # what is still pending would be written after the check
            if not session.connection().exec_driver_sql(IS_LEADER, (counter, generation)).scalar():
                superseded.set()
                news.set()
                raise NoLongerLeader

        event.listen(FencedSession, "before_commit", require_leader)
        return async_sessionmaker(engine, expire_on_commit=False, sync_session_class=FencedSession)

    async def wait_until_lost(self) -> None:
        """Wait until another process leads. While the database is unavailable none does: this one goes on."""
        self._is_watched = True
        refused_s, is_held = 0.0, False
        while refused_s < GRACE_S and not self.is_superseded:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S if is_held else POLL_S):
                    await self._news.wait()
            self._news.clear()
            is_held = await self._holds_lock() or await self._regain_lock()
            if is_held:
                refused_s = 0.0
            elif self._connection is not None:
                refused_s += POLL_S

    async def _holds_lock(self) -> bool:
        if not self._is_connected or not self._is_locked:
            return False
        return await self._fetch("SELECT 1") is not None

    async def _regain_lock(self) -> bool:
        """Take the lock again after the connection was lost, unless another process has won and ended meanwhile."""
        if (
            not await self.try_lock()
            or (newest := await self._fetch(NEWEST_GENERATION, self._leadership.value)) is None
        ):
            return False
        if newest != self._generation:
            self._superseded.set()
        await self._begin_to_lead()
        return True

    async def _begin_to_lead(self) -> None:
        """Listen, and be heard: from now on PostgreSQL ends this session when it is silent for SILENT_S."""
        await self._fetch(END_WHEN_SILENT)
        await self._listen()
        if not self._is_watched and (self._speaking is None or self._speaking.done()):
            self._speaking = asyncio.create_task(self._speak())

    async def _speak(self) -> None:
        """Until `wait_until_lost` does, as the start of what leads may take long."""
        while self._is_connected and not self._is_watched:
            await self._fetch("SELECT 1")
            await asyncio.sleep(CHECK_S)

    async def _listen(self) -> None:
        """Listen for work over the connection that holds the lock. Unheard, work is looked for as if it were due."""
        connection = self._connection
        if connection is None:
            return
        try:
            async with self._one_query:
                await connection.add_listener(WORK_CHANNEL, lambda *notification: self.signals.signal(notification[3]))
                if self._leadership is Leadership.WORKER:
                    await connection.add_listener(JUDGED_CHANNEL, lambda *heard: self.signals.signal_judged(heard[3]))
        except CONNECTION_ERRORS as error:
            self._disconnect(error)
            return
        connection.add_termination_listener(lambda _: self._on_termination(connection))
        self.signals.listen()

    def _on_termination(self, connection: asyncpg.Connection) -> None:
        if connection is self._connection:
            self.signals.stop()
            asyncio.get_running_loop().call_later(POLL_S, self._news.set)  # what cut it may cut the next one, too

    async def _fetch(self, query: str, *args: int | str) -> Any:
        """None if the database is unavailable."""
        try:
            async with self._one_query:
                if self._connection is None:
                    return None
                return await self._connection.fetchval(query, *args)
        except CONNECTION_ERRORS as error:
            self._disconnect(error)
            return None

    def _disconnect(self, error: Exception) -> None:
        log.warning("leader_lock_unreachable", error=repr(error))
        self.abandon()

    def abandon(self) -> None:
        """Give the lock up at once, without a word to the database."""
        self._is_locked = False
        self.signals.stop()
        self._fall_silent()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _fall_silent(self) -> None:
        if self._speaking is not None and self._speaking is not asyncio.current_task():
            self._speaking.cancel()

    async def release(self) -> None:
        self.signals.stop()
        self._fall_silent()
        if self._connection is not None:
            await self._connection.close()
            self._connection, self._is_locked = None, False
