"""One task at a time for all work that waits, and futures whose waiter may be gone."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SingleTask:
    """Runs `work` in a task of its own; `work` ends when nothing waits any more."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def ensure_running(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Wait until all that waited is done."""
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def resolve(future: asyncio.Future[T], result: T) -> None:
    """Do nothing if it was cancelled: its waiter is gone, what it waited for was done all the same."""
    if not future.done():
        future.set_result(result)


def reject(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # retrieved here: asyncio would log it if the waiter is gone
