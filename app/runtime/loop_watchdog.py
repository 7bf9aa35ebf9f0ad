"""Ends a process whose event loop stands still, with its stacks in the log: whoever runs the process starts it again.

Two clocks watch, and neither counts a machine or a process that is suspended:
1. A thread counts the seconds without a beat of the loop, each by a sleep of its own.
2. A call into C that keeps the interpreter's lock stops that thread as well. It burns processor time, for which the
   kernel's own timer ends the process; the loop winds it up again with each beat.
"""

import asyncio
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from functools import partial

import structlog

log = structlog.get_logger()

BEAT_S = 1.0
STALLED_S = 15
EXIT_CODE = 70
LOG_S = 2.0


@asynccontextmanager
async def watched_loop() -> AsyncIterator[None]:
    """End this process if its running loop does not come round for STALLED_S seconds."""
    loop, beats, over = asyncio.get_running_loop(), _Beats(), threading.Event()
    faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)  # the stacks, and then the signal's own effect
    beating = loop.call_soon(beats.beat, loop)
    thread = threading.Thread(target=_watch, args=(beats, over, copy_context()), name="loop-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        beating.cancel()
        beats.end()


class _Beats:
    def __init__(self) -> None:
        self.count = 0
        self._next: asyncio.TimerHandle | None = None

    def beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self.count += 1
        signal.setitimer(signal.ITIMER_PROF, STALLED_S)
        self._next = loop.call_later(BEAT_S, self.beat, loop)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if self._next is not None:
            self._next.cancel()


def _watch(beats: _Beats, over: threading.Event, context: Context) -> None:
    """`context`: that of the process's log."""
    seen, missed = beats.count, 0
    while not over.is_set():
        time.sleep(BEAT_S)
        seen, missed = beats.count, missed + 1 if beats.count == seen else 0
        if missed * BEAT_S >= STALLED_S:
            _log(context, _stacks())
            os._exit(EXIT_CODE)


def _stacks() -> dict[str, list[str]]:
    """Return the stack of every thread, the innermost call last, without values."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        names.get(ident, str(ident)): [line.strip() for line in traceback.format_stack(frame)]
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident()
    }


def _log(context: Context, stacks: dict[str, list[str]]) -> None:
    """Give up after LOG_S: the log may be what the loop waits for."""
    write = partial(context.run, log.critical, "event_loop_stalled", seconds=STALLED_S, stacks=stacks)
    logging = threading.Thread(target=write, daemon=True)
    logging.start()
    logging.join(LOG_S)
