"""Limits on what one account has done at the same time, whichever of its tokens and sessions it uses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from app.access.scope import Caller
from app.core.errors import TooManyRequests


@dataclass(slots=True, weakref_slot=True)
class _Queue:
    running: asyncio.Semaphore
    length: int = 0


class AccountQueues:
    """A queue for each account, so that much of one delays no other: `at_once` run, and up to `queued` in all wait."""

    def __init__(self, *, at_once: int, queued: int, retry_after_s: int) -> None:
        self._at_once, self._queued, self._retry_after_s = at_once, queued, retry_after_s
        self._queues: WeakValueDictionary[str, _Queue] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, caller: Caller) -> AsyncIterator[None]:
        """Wait for a place among those that run. Raises TooManyRequests if as many as may wait already."""
        queue = self._queues.setdefault(caller.limit_key, _Queue(asyncio.Semaphore(self._at_once)))
        if queue.length >= self._queued:
            raise TooManyRequests(self._retry_after_s)
        queue.length += 1
        try:
            async with queue.running:
                yield
        finally:
            queue.length -= 1
