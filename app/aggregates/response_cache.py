"""Answers that were counted, kept until what they depend on changes."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from app.aggregates.cache_key import Watermark

MOST_BYTES = 50_000_000
WORTH_ZIPPING, LEVEL = 1000, 5

Count = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Body:
    whole: bytes
    zipped: bytes | None  # None: not worth it


@dataclass(slots=True, eq=False)
class Made:
    of: Watermark
    size: int = 0  # while it is being counted it takes no room
    body: asyncio.Task[Body] = field(init=False)


class Remembered:
    """By question, the one asked last at the end. Whoever asks the same at the same time waits for the same count."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._made: dict[Hashable, Made] = {}

    async def get(self, question: Hashable, of: Watermark, count: Count) -> Body:
        made = self._made.pop(question, None)
        if made is None or made.of != of:
            made = Made(of)
            made.body = asyncio.create_task(self._make(question, made, count))
        self._made[question] = made
        return await asyncio.shield(made.body)  # who asked first may hang up

    async def _make(self, question: Hashable, made: Made, count: Count) -> Body:
        try:
            whole = await count()
            worth_it = len(whole) >= WORTH_ZIPPING
            zipped = await asyncio.to_thread(gzip.compress, whole, LEVEL, mtime=0) if worth_it else None
        except BaseException:
            if self._made.get(question) is made:
                del self._made[question]
            raise
        made.size = len(whole) + len(zipped or b"")
        self._shrink()
        return Body(whole, zipped)

    def _shrink(self) -> None:
        taken = sum(made.size for made in self._made.values())
        for question, made in list(self._made.items()):
            if taken <= self._most_bytes:
                return
            if made.size:
                del self._made[question]
                taken -= made.size
