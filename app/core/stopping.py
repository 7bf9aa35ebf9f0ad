"""When a process is told to stop, and what it does until then."""

import asyncio
import os
import signal
import threading
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


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM, SIGINT and SIGHUP set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def end_with_parent() -> None:
    """In a supervised child: send SIGTERM to ourselves when the supervisor is gone, even by kill -9."""

    def wait() -> None:
        while os.read(0, 64):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
