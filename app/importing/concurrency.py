"""Limits on concurrent imports: one at a time for each account, and two threads for all of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from app.access.scope import Caller
from app.core.errors import TooManyRequests

MAX_THREADS = 2  # each is busy for seconds on one core: more threads would finish no sooner
MAX_QUEUED = 5  # imports of one account, the running one included
RETRY_S = 30

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(slots=True, weakref_slot=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class AccountQueues:
    """A queue for each account, whichever of its tokens and sessions it uses.

    Each account has at most one import among those that wait for a thread, so many files of one delay no other.
    """

    def __init__(self) -> None:
        self._queues: WeakValueDictionary[str, _Queue] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, caller: Caller) -> AsyncIterator[None]:
        """Wait until the account's earlier imports have ended. Raises TooManyRequests if too many wait already."""
        queue = self._queues.setdefault(caller.limit_key, _Queue())
        if queue.length >= MAX_QUEUED:
            raise TooManyRequests(RETRY_S)
        queue.length += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.length -= 1


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in an import thread. The default pool stays free: it compresses what dashboards poll."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), partial(work, *args, **kwargs))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="import")
