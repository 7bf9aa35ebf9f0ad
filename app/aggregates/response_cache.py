"""Aggregate responses, kept until the data they were computed from changes or newer ones need the room."""

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from cachetools import LRUCache

from app.aggregates.cache_key import DataVersion
from app.core.single_flight import SingleFlight

MAX_BYTES = 50_000_000
ENTRY_BYTES = 1000  # what an entry takes beside its body, roughly; it bounds the number of entries too
MIN_GZIP_BYTES, GZIP_LEVEL = 1000, 5


@dataclass(frozen=True, slots=True)
class CachedBody:
    plain: bytes
    gzipped: bytes | None  # None for a body that is too short to be worth it

    @property
    def size(self) -> int:
        return ENTRY_BYTES + len(self.plain) + len(self.gzipped or b"")


@dataclass(frozen=True, slots=True)
class _Entry:
    version: DataVersion
    body: CachedBody


class ResponseCache:
    """The least recently used bodies are evicted first; concurrent requests for one body share its computation.

    `clock` (seconds since 1970) decides in which refresh interval a request falls.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._entries: LRUCache[Hashable, _Entry] = LRUCache(max_bytes, getsizeof=lambda entry: entry.body.size)
        self._newest: LRUCache[Hashable, DataVersion] = LRUCache(max_bytes // ENTRY_BYTES)  # by key, as requested last
        self._flight: SingleFlight[tuple[Hashable, DataVersion], CachedBody] = SingleFlight()

    @property
    def size(self) -> int:
        """Bytes in use."""
        return int(self._entries.currsize)

    async def get(
        self, key: Hashable, version: DataVersion, compute: Callable[[], Awaitable[bytes]], *, pack: bool = True
    ) -> CachedBody:
        """Return the body of this key and version, computed unless it is cached. An error of `compute` is not kept.

        `pack`: whether to keep it compressed, too.
        """
        entry = self._entries.get(key)
        if entry is not None and entry.version == version:
            return entry.body
        self._newest[key] = version
        return await self._flight.run((key, version), lambda: self._load(key, version, compute, pack=pack))

    async def _load(
        self, key: Hashable, version: DataVersion, compute: Callable[[], Awaitable[bytes]], *, pack: bool
    ) -> CachedBody:
        plain = await compute()
        gzipped = None
        if pack and len(plain) >= MIN_GZIP_BYTES:
            gzipped = await asyncio.to_thread(gzip.compress, plain, GZIP_LEVEL, mtime=0)
        body = CachedBody(plain, gzipped)
        if self._newest.get(key) != version:
            return body  # a newer version was requested meanwhile: its body stays
        self._entries.pop(key, None)
        if body.size <= self._entries.maxsize:
            self._entries[key] = _Entry(version, body)
        return body
