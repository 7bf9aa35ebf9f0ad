"""Doing something until a process is told to stop."""

import asyncio
from collections.abc import Awaitable


async def completes(doing: Awaitable[None], stop: asyncio.Event) -> bool:
    """Whether it ended before `stop` was set; else it is cancelled. Raises what it raised."""
    task, stopping = asyncio.ensure_future(doing), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done()
    finally:
        for waiting in (task, stopping):
            waiting.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)
