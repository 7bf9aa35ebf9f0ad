"""Limits on concurrent imports: one at a time for each account, and two threads for all of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from app.access.scope import Caller

MAX_THREADS = 2  # each is busy for seconds on one core: more threads would finish no sooner

T = TypeVar("T")
P = ParamSpec("P")


class AccountLocks:
    """A lock for each caller, so that one who sends many files does not delay the others."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, caller: Caller) -> AsyncIterator[None]:
        """Wait until the caller's earlier imports have ended."""
        async with self._locks.setdefault(caller.key, asyncio.Lock()):
            yield


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in an import thread. The default pool stays free: it compresses what dashboards poll."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), partial(work, *args, **kwargs))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="import")
