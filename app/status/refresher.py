"""Keeps a snapshot true: listens for notices, reads at most once a second, and resynchronises a lost line."""

import asyncio
import gc
import time

import asyncpg
import structlog
from sqlalchemy.engine import make_url

from app.core.clock import utc_now
from app.postgres.engine import CHANNEL, Sessions, connect_args
from app.status.snapshot import Snapshot

log = structlog.get_logger()

RESYNC_S = 5.0  # a notice that was lost, and a beat that nobody gave notice of, are found after this long


class Follower:
    def __init__(self, snapshot: Snapshot, sessions: Sessions, url: str) -> None:
        self._snapshot, self._sessions, self._url = snapshot, sessions, url
        self._changed = asyncio.Event()
        self._line: asyncpg.Connection | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._age())

    async def _follow(self) -> None:
        settled = False
        while True:
            started = time.monotonic()
            try:
                await self._listen()
                await self._snapshot.refresh(self._sessions)
                self._snapshot.tick(utc_now())
                if not settled:
                    settled = True
                    gc.collect()
                    gc.freeze()  # what is there by now stays: going through it again and again keeps pollers waiting
            except Exception as error:
                log.warning("status_unread", error=type(error).__name__)
            await self._next_change(started)

    async def _age(self) -> None:
        """Each second, whatever the database does: what it last said goes on ageing."""
        while True:
            try:
                self._snapshot.tick(utc_now())
            except Exception as error:
                log.error("status_not_aged", exc_info=error)
            await asyncio.sleep(1.0 - time.time() % 1.0)

    async def _next_change(self, started: float) -> None:
        """Waits for a notice, but never longer than it takes to find a line dead, or for maintenance to begin."""
        while time.monotonic() - started < (RESYNC_S if self._is_listening() else 1.0):
            try:
                async with asyncio.timeout(0.5):
                    await self._changed.wait()
                break
            except TimeoutError:
                if self._snapshot.work_is_over:
                    break
        self._changed.clear()
        await asyncio.sleep(max(0.0, started + 1.0 - time.monotonic()))

    def _is_listening(self) -> bool:
        return self._line is not None and not self._line.is_closed()

    async def _listen(self) -> None:
        if self._is_listening():
            return
        url = make_url(self._url).set(drivername="postgresql")
        args = connect_args("api listen")
        self._line = await asyncpg.connect(
            url.render_as_string(hide_password=False), timeout=5, server_settings=args["server_settings"]
        )
        await self._line.add_listener(CHANNEL, lambda *_: self._changed.set())

    async def close(self) -> None:
        if self._line is not None:
            self._line.terminate()
