"""Stream the status once and then its changes, as server-sent events.

Nothing is queued. A stream keeps the version that it sent last, waits for a newer one and renders the change between
the two, shared by all streams with the same query. A slow client skips versions; one that does not read at all is
disconnected (app/runtime/server.py).
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from app.core.errors import Gone, Unavailable
from app.settings import StatusSettings
from app.status.rendered import StatusQuery, StatusRenderer
from app.status.snapshot import Snapshot
from app.status.status_filter import StatusFilter
from app.status.version import Version
from app.web.sse import BEAT_S, RECHECK_S, StreamLimit

RETRY_MS = 2_000, 5_000  # random, so that clients do not all reconnect at once
CONCURRENT_SENDS = 16  # streams woken in a row before other requests are served
CHUNK_BYTES = 65_536  # held in memory for a slow client


class StreamDetail(StrEnum):
    """`sites`: with every changed site; `version`: the version alone, whenever a state, an incident or maintenance of a
    site has changed.
    """

    SITES = "sites"
    VERSION = "version"


class StatusEvent(NamedTuple):
    kind: str  # snapshot, change, version or beat; empty: nothing to send
    version: Version
    body: bytes = b""

    def chunks(self) -> Iterator[bytes]:
        yield f"event: {self.kind}\nid: {self.version}\ndata: ".encode() + self.body[:CHUNK_BYTES]
        for start in range(CHUNK_BYTES, len(self.body), CHUNK_BYTES):
            yield self.body[start : start + CHUNK_BYTES]
        yield b"\n\n"


class StatusStreams(StreamLimit):
    """The status streams of this process."""

    def __init__(self, snapshot: Snapshot, renderer: StatusRenderer, settings: StatusSettings) -> None:
        super().__init__(settings)
        self._snapshot, self._renderer = snapshot, renderer
        self._send_slots = asyncio.Semaphore(CONCURRENT_SENDS)

    def end(self) -> None:
        super().end()
        self._snapshot.published.set()

    async def stream_events(
        self,
        status_filter: StatusFilter,
        seen: Version | None,
        is_allowed: Callable[[], Awaitable[bool]],
        *,
        detail: StreamDetail = StreamDetail.SITES,
    ) -> AsyncIterator[bytes]:
        """Yield events until the service ends or the caller loses access. `seen`: the version that the client has."""
        yield f"retry: {random.randint(*RETRY_MS)}\n\n".encode()
        sent_at = float("-inf")
        next_event = self._next_version if detail is StreamDetail.VERSION else self._next_event
        while True:
            async with self._send_slots:
                await asyncio.sleep(0)
            published = self._snapshot.published
            event = await next_event(status_filter, seen)
            if not event.kind and time.monotonic() - sent_at >= BEAT_S:
                event = StatusEvent("beat", event.version, self._renderer.beat())
            if event.kind:
                for chunk in event.chunks():
                    yield chunk
                sent_at = time.monotonic()
            seen = event.version
            if self.ending:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_S):
                    await published.wait()
            if not await is_allowed():
                return

    async def _next_event(self, status_filter: StatusFilter, seen: Version | None) -> StatusEvent:
        try:
            if seen is not None:
                with contextlib.suppress(Gone):
                    return await self._change(status_filter, seen)
            return await self._full_status(status_filter)
        except Unavailable:  # another database is being loaded
            return StatusEvent("", seen or self._snapshot.version)

    async def _next_version(self, status_filter: StatusFilter, seen: Version | None) -> StatusEvent:
        version = self._snapshot.version
        has_news = seen is None or self._snapshot.has_news(seen, status_filter)
        return StatusEvent("version", version, self._renderer.beat()) if has_news else StatusEvent("", version)

    async def _full_status(self, status_filter: StatusFilter) -> StatusEvent:
        rendered = await self._renderer.render(StatusQuery(status_filter))
        return StatusEvent("snapshot", rendered.version, rendered.body)

    async def _change(self, status_filter: StatusFilter, seen: Version) -> StatusEvent:
        rendered = await self._renderer.render(StatusQuery(status_filter, since=seen))
        assert rendered.change is not None
        has_changes = rendered.change.changed or rendered.change.removed
        return StatusEvent("change" if has_changes else "", rendered.change.version, rendered.body)
