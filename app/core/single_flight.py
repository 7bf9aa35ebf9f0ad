"""Single flight: concurrent callers of one key share one computation.

With a cache of cachetools, store inside the computation: the value is kept even when every caller has hung up.

    entries: TTLCache[str, bytes] = TTLCache(1000, ttl=60, timer=clock)
    flight: SingleFlight[str, bytes] = SingleFlight()

    async def get(key: str) -> bytes:
        if (value := entries.get(key)) is not None:
            return value
        return await flight.run(key, lambda: load(key))

    async def load(key: str) -> bytes:
        value = entries[key] = await compute(key)
        return value
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Keeps no values: once a computation is over, the next caller of its key starts another."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        """How many computations are running."""
        return len(self._tasks)

    def __contains__(self, key: K) -> bool:
        """Whether a computation of this key is running."""
        return (task := self._tasks.get(key)) is not None and not task.done()

    async def run(self, key: K, make: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Join the running computation of `key`, or start `make()` in a task of its own. Its error goes to all callers.

        A caller that is cancelled or times out leaves the computation running for the others.
        """
        task = self._tasks.get(key)
        if task is None or task.done():
            task = self._tasks[key] = asyncio.create_task(make())
            task.add_done_callback(lambda done: self._finish(key, done))
        await asyncio.wait((task,))  # unlike `await task`, a cancelled wait does not cancel the task
        return task.result()

    def _finish(self, key: K, task: asyncio.Task[V]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # retrieved here: asyncio would log it when no caller is left to

    async def close(self) -> None:
        """Cancel what is running and wait for its end; callers that still wait are cancelled too."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
