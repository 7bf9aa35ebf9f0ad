"""The thread in which the spool is read and written, and what becomes of its errors: none of them ends the prober."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from app.core.clock import utc_now
from app.prober import spool_damage
from app.prober.spool import Spool

log = structlog.get_logger()

T = TypeVar("T")


class SpoolThread:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_durable = True  # the last thing that was to be written is on the disk
        self.damaged = 0  # spools that were set aside
        self._spool: Spool | None = None
        self._thread = ThreadPoolExecutor(1, "spool")

    async def call(self, work: Callable[[], T]) -> T:
        """Return what it does in the thread, which is not about the spool. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def read(self, question: Callable[[Spool], T]) -> T | None:
        """Return what the spool answers; None if it cannot."""
        try:
            return await self.call(lambda: self._attempt(question))
        except (sqlite3.Error, OSError):
            return None

    async def write(self, change: Callable[[Spool], T], *, shrinks: bool = False) -> T | None:
        """Return what the change returns, once it is on the disk; None if it could not be made, which is told once.

        What `shrinks` the spool is written on a full disk, too.
        """
        try:
            result = await self.call(lambda: self._attempt(change, shrinks=shrinks))
        except (sqlite3.Error, OSError) as error:
            if self.is_durable:
                log.error("spool_failed", path=str(self.path), error=str(error), why="readings wait in memory")
            self.is_durable = False
            return None
        if not self.is_durable and not shrinks:
            log.info("spool_works_again", path=str(self.path))
        self.is_durable = self.is_durable or not shrinks
        return result

    async def close(self) -> None:
        await self.call(self._close)
        self._thread.shutdown(wait=True)

    def _attempt(self, work: Callable[[Spool], T], *, shrinks: bool = False) -> T:
        """Raises sqlite3.Error or OSError, of a spool that may work again later."""
        try:
            return work(self._opened())
        except (sqlite3.Error, OSError) as error:
            if spool_damage.is_full(error):
                return self._attempt_on_full(work, error, shrinks=shrinks)
            self._close()
            if not spool_damage.is_damage(error):
                raise
            self._replace(error)
            return work(self._opened())

    def _attempt_on_full(self, work: Callable[[Spool], T], error: Exception, *, shrinks: bool) -> T:
        """Raises the error if nothing is left that may be given up."""
        spool = self._opened()
        with spool.reserve_released():
            if shrinks:
                return work(spool)
            dropped = spool.drop_acknowledged()
        if not dropped:
            raise error
        return work(spool)

    def _replace(self, error: Exception) -> None:
        """Set a damaged spool aside, and begin another one with what can still be read of it."""
        self.damaged += 1
        aside = spool_damage.set_aside(self.path, utc_now().strftime("%Y%m%dT%H%M%S%f"))
        saved = spool_damage.salvage(aside, self._opened())
        log.error("spool_damaged", set_aside=str(aside), error=str(error), blocks_saved=saved)

    def _close(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _opened(self) -> Spool:
        if self._spool is None:
            self._spool = Spool.open(self.path)
        return self._spool
