"""Keeps the snapshot current: waits for notifications, reads at most once a second, reconnects a lost listener."""

import asyncio
import contextlib
import gc
import time

import asyncpg
import structlog

from app.core.clock import utc_now
from app.postgres.engine import CHANNEL, Sessions, connect_args, is_unavailable
from app.postgres.urls import dsn
from app.status.snapshot import Snapshot
from app.status.store import CountersAndBeats, fetch_counters_and_beats

log = structlog.get_logger()

RESYNC_S = 5.0  # between reads without a notification: for lost ones, and for heartbeats, which send none
MIN_INTERVAL_S = 1.0


class SnapshotRefresher:
    """While the database is unavailable the snapshot goes on ageing. Other errors are logged with their traceback and
    stand in `Snapshot.refresh_error` until a refresh succeeds."""

    def __init__(self, snapshot: Snapshot, sessions: Sessions, url: str) -> None:
        self._snapshot, self._sessions, self._url = snapshot, sessions, url
        self._changed = asyncio.Event()
        self._listener: asyncpg.Connection | None = None
        self._last_error: str | None = None  # logged already

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._refresh_on_change())
            tasks.create_task(self._age_each_second())

    async def _refresh_on_change(self) -> None:
        frozen = False
        while True:
            started = time.monotonic()
            try:
                await self._snapshot.refresh(self._sessions, await self._fetch_counters())
                self._snapshot.tick(utc_now())
                self._last_error = self._snapshot.refresh_error = None
                if not frozen:
                    frozen = True
                    gc.collect()
                    gc.freeze()  # the snapshot stays: collecting it again and again would delay pollers
            except Exception as error:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError from error  # SQLAlchemy wraps a cancellation while rows are streamed
                self._report(error)
            await self._wait_for_change(started)

    def _report(self, error: Exception) -> None:
        """Log an error when it first occurs."""
        available = not is_unavailable(error)
        self._snapshot.refresh_error = type(error).__name__ if available else None
        if repr(error) == self._last_error:
            return
        self._last_error = repr(error)
        if available:
            log.error("status_refresh_failed", exc_info=error)
        else:
            log.warning("database_unavailable", error=type(error).__name__)

    async def _age_each_second(self) -> None:
        """Age the snapshot whatever the database does."""
        while True:
            try:
                self._snapshot.tick(utc_now())
                if self._snapshot.maintenance_changed:
                    self._changed.set()
            except Exception as error:
                log.error("status_not_aged", exc_info=error)
            await asyncio.sleep(1.0 - time.time() % 1.0)

    async def _wait_for_change(self, started: float) -> None:
        """Wait for a notification, RESYNC_S, or the start or end of maintenance; after an error, for 1 s only."""
        interval_s = RESYNC_S if self._is_listening() and self._last_error is None else MIN_INTERVAL_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, started + interval_s - time.monotonic())):
                await self._changed.wait()
        self._changed.clear()
        await asyncio.sleep(max(0.0, started + MIN_INTERVAL_S - time.monotonic()))

    def _is_listening(self) -> bool:
        return self._listener is not None and not self._listener.is_closed()

    async def _fetch_counters(self) -> CountersAndBeats:
        listener = await self._listen()
        try:
            return await fetch_counters_and_beats(listener)
        except Exception:
            listener.terminate()
            raise

    async def _listen(self) -> asyncpg.Connection:
        if self._listener is not None and not self._listener.is_closed():
            return self._listener
        settings = connect_args("api listen")["server_settings"]
        self._listener = listener = await asyncpg.connect(dsn(self._url), timeout=5, server_settings=settings)
        await listener.add_listener(CHANNEL, lambda *_: self._changed.set())
        return listener

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.terminate()
