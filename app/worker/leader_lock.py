"""One active worker: whoever holds an advisory lock, over a connection of its own."""

import asyncio

import asyncpg
import structlog
from sqlalchemy.engine import make_url

from app.postgres.engine import connect_args

log = structlog.get_logger()

WORKER_LOCK = 0x53494E59_0002
POLL_S = 1.0
GRACE_S = 10.0  # after a cut line our own former session may hold the lock for a while yet


class Leadership:
    """PostgreSQL frees the lock the moment its holder's connection ends, so a dead worker is followed at once."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._line: asyncpg.Connection | None = None
        self._won = False

    async def win(self) -> None:
        """Returns once this worker is the one."""
        waiting = False
        while not await self.try_win():
            if not waiting:
                log.info("standing_by")
                waiting = True
            await asyncio.sleep(POLL_S)

    async def try_win(self) -> bool:
        try:
            if self._line is None or self._line.is_closed():
                settings = connect_args("worker lock")["server_settings"]
                self._line = await asyncpg.connect(self._url, timeout=5, command_timeout=5, server_settings=settings)
            self._won = bool(await self._line.fetchval("SELECT pg_try_advisory_lock($1)", WORKER_LOCK))
            return self._won
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("lock_unreachable", error=type(error).__name__)
            self.drop()
            return False

    async def lose(self) -> None:
        """Returns once another worker is the one. While the database is away nobody is: this one goes on reading."""
        refused = 0.0
        while refused < GRACE_S:
            await asyncio.sleep(POLL_S)
            if await self._holds() or await self.try_win():
                refused = 0.0
            elif self._line is not None:
                refused += POLL_S

    async def _holds(self) -> bool:
        if self._line is None or self._line.is_closed() or not self._won:
            return False
        try:
            await self._line.execute("SELECT 1")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.drop()
            return False
        return True

    def drop(self) -> None:
        self._won = False
        if self._line is not None:
            self._line.terminate()
            self._line = None

    async def leave(self) -> None:
        if self._line is not None:
            await self._line.close()
            self._line = None
