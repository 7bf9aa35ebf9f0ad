"""Streams: the status once, then what changes, as server-sent events.

Nothing is queued for anybody. A stream knows the version that it has told, waits for a newer one, and asks for the
change from the one to the other, which is made once for all who ask the same. Who reads slowly skips versions; who does
not read at all is cut off by the kernel (app/runtime/server.py).
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import NamedTuple

from app.core.errors import Gone, Unavailable
from app.status.rendered import Answers, Question
from app.status.selection import Selection
from app.status.snapshot import Snapshot
from app.status.version import Version
from app.web.sse import BEAT_S, RECHECK_S, StreamLimit

BACK_MS = 2_000, 5_000  # when a reader comes back after an end: not all of them at once
AT_ONCE = 16  # streams that are told in one go, before whoever polls has a turn
PIECE = 65_536  # as much as waits in memory for one that reads slowly


class Event(NamedTuple):
    kind: str  # snapshot, change, beat; empty: nothing to tell
    version: Version
    body: bytes = b""

    def pieces(self) -> Iterator[bytes]:
        yield f"event: {self.kind}\nid: {self.version}\ndata: ".encode() + self.body[:PIECE]
        for start in range(PIECE, len(self.body), PIECE):
            yield self.body[start : start + PIECE]
        yield b"\n\n"


class Streams(StreamLimit):
    """Of the status: what all that are open in this process are told."""

    def __init__(self, snapshot: Snapshot, answers: Answers, *, max_streams: int) -> None:
        super().__init__(max_streams=max_streams)
        self._snapshot, self._answers = snapshot, answers
        self._turn = asyncio.Semaphore(AT_ONCE)

    def end(self) -> None:
        super().end()
        self._snapshot.published.set()

    async def tell(
        self, wanted: Selection, seen: Version | None, is_allowed: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """`seen`: the version that the reader has; None where it has none."""
        yield f"retry: {random.randint(*BACK_MS)}\n\n".encode()
        told_at = float("-inf")
        while True:
            async with self._turn:
                await asyncio.sleep(0)
            published = self._snapshot.published
            event = await self._news(wanted, seen)
            if not event.kind and time.monotonic() - told_at >= BEAT_S:
                event = Event("beat", event.version, self._answers.age())
            if event.kind:
                for piece in event.pieces():
                    yield piece
                told_at = time.monotonic()
            seen = event.version
            if self.ending:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_S):
                    await published.wait()
            if not await is_allowed():
                return

    async def _news(self, wanted: Selection, seen: Version | None) -> Event:
        try:
            if seen is not None:
                with contextlib.suppress(Gone):
                    return await self._change(wanted, seen)
            return await self._whole(wanted)
        except Unavailable:  # another database is being read
            return Event("", seen or self._snapshot.version)

    async def _whole(self, wanted: Selection) -> Event:
        answer = await self._answers.get(Question(wanted))
        return Event("snapshot", answer.version, answer.body)

    async def _change(self, wanted: Selection, seen: Version) -> Event:
        answer = await self._answers.get(Question(wanted, since=seen))
        assert answer.change is not None
        something = answer.change.changed or answer.change.removed
        return Event("change" if something else "", answer.change.version, answer.body)
