"""Writes down what a process heard of its streams, some times a minute, and watches for its own stalls."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import month_of
from app.measurements import device_traffic
from app.postgres.engine import Sessions, is_unavailable, transaction
from app.streams import store
from app.streams.held import HeldSpan, HeldStreams, moment

log = structlog.get_logger()

TICK_S, STALL_S = 2.0, 1.0  # a tick that comes so much later was held up, and with it whatever was read meanwhile
WRITE_S = 14.0  # a stream's arrival is queued before its site's push is missed
CLOSE_S = 1.5
MOST_KEPT = 20_000  # breaks and stretches, while the database is away


class Heard(NamedTuple):
    """A site whose device was heard over its stream."""

    site_id: int
    send_every_s: int
    heard_at: float
    address: str | None


QueueArrivals = Callable[[AsyncSession, Sequence[Heard]], Awaitable[None]]


class StreamRecorder:
    def __init__(self, sessions: Callable[[], Sessions], held: HeldStreams, queue_arrivals: QueueArrivals) -> None:
        """`queue_arrivals`: tells what a held stream proves while its site's push is overdue (push/stream_arrivals)."""
        self._sessions, self._held, self._queue_arrivals = sessions, held, queue_arrivals
        self._heard: dict[int, Heard] = {}  # since the last writing
        self._bytes: Counter[int] = Counter()
        self._running: asyncio.Task[None] | None = None

    def note(self, heard: Heard, size: int) -> None:
        """A device was heard, and `size` bytes crossed its link."""
        self._heard[heard.site_id] = heard
        self._bytes[heard.site_id] += size
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            with contextlib.suppress(TimeoutError):  # a stop does not wait for a database that is away
                async with asyncio.timeout(CLOSE_S):
                    await self.write()

    async def _run(self) -> None:
        """Until no stream is open and all is written."""
        ticked = written = time.monotonic()
        while self._held.streams or self._heard:
            await asyncio.sleep(TICK_S)
            late_s = time.monotonic() - ticked - TICK_S
            ticked = time.monotonic()
            if late_s > STALL_S:
                self._held.note_stall(time.time() - late_s - TICK_S, time.time())
            if ticked - written >= WRITE_S:
                written = ticked
                await self.write()

    async def write(self) -> None:
        """Write what happened since the last time; while the database is away it is kept. Never raises for that."""
        held, heard, sizes = self._held, self._heard, self._bytes
        spans, breaks, alternated = held.spans, held.breaks, held.alternated
        held.spans, held.breaks, held.alternated, self._heard, self._bytes = [], [], {}, {}, Counter()
        running = [held.streams[site_id].span for site_id in heard if site_id in held.streams]
        try:
            async with transaction(self._sessions()) as session:
                await store.write_spans(session, _span_rows([*spans, *running]))
                await store.record_seen(session, breaks)
                await device_traffic.add(session, _traffic_rows(sizes))
                await store.mark_two_agents(session, {site: moment(at) for site, at in alternated.items()})
                await self._queue_arrivals(session, list(heard.values()))
        except Exception as error:
            log.warning("streams_not_written", error=type(error).__name__, exc_info=not is_unavailable(error))
            held.spans = (spans + held.spans)[-MOST_KEPT:]
            held.breaks = (breaks + held.breaks)[-MOST_KEPT:]
            held.alternated = alternated | held.alternated
            self._heard = heard | self._heard
            self._bytes += sizes
        held.forget(time.time())


def _span_rows(spans: Sequence[HeldSpan]) -> list[dict[str, Any]]:
    """Each once, as far as it reached."""
    latest: dict[tuple[int, float], HeldSpan] = {}
    for span in spans:
        if span.ended_at > span.started_at:
            key = span.site_id, span.started_at
            latest[key] = max(span, latest.get(key, span))
    return [
        {
            "site_id": span.site_id,
            "started_at": moment(span.started_at),
            "ended_at": moment(span.ended_at),
            "beat_s": span.beat_s,
        }
        for span in latest.values()
    ]


def _traffic_rows(sizes: Counter[int]) -> list[dict[str, Any]]:
    month = month_of(moment(time.time()))
    return [{"site_id": site_id, "month": month, "bytes": size} for site_id, size in sizes.items() if size]
