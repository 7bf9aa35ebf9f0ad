"""Render response bodies of the current status version, each once for all callers with the same query."""

import asyncio
import gzip
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson
from cachetools import LRUCache

from app.core.clock import utc_now
from app.core.errors import Gone, Unavailable
from app.core.single_flight import SingleFlight
from app.status import site_metrics
from app.status.changelog import StatusChange
from app.status.row import StatusEntry
from app.status.snapshot import Snapshot
from app.status.status_filter import StatusFilter
from app.status.summary import summarise
from app.status.version import Version

GZIP_SUFFIX = "-gzip"
MAX_CACHED_BYTES = 100_000_000
ENTRY_BYTES = 2_000  # assumed for a cached body's key and object
THREAD_FROM_BYTES, GZIP_LEVEL = 50_000, 5
READ_WHOLE_STATUS = "Read the full status without `since` and continue from its version"


class StatusFormat(StrEnum):
    JSON = "json"
    GEOJSON = "geojson"
    SUMMARY = "summary"
    METRICS = "metrics"


MEDIA_TYPES = {
    StatusFormat.JSON: "application/json",
    StatusFormat.GEOJSON: "application/geo+json",
    StatusFormat.SUMMARY: "application/json",
    StatusFormat.METRICS: "text/plain; version=0.0.4; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class StatusQuery:
    filter: StatusFilter
    format: StatusFormat = StatusFormat.JSON
    since: Version | None = None
    gzip: bool = False

    def etag(self, version: Version) -> str:
        content = (self.filter, self.format, self.since)
        digest = hashlib.blake2s(repr(content).encode(), digest_size=6).hexdigest()
        return f'"{version}-{digest}{GZIP_SUFFIX if self.gzip else ""}"'


@dataclass(frozen=True, slots=True)
class RenderedBody:
    version: Version
    etag: str
    body: bytes
    change: StatusChange | None = None  # of a query with `since`


class StatusRenderer:
    """Caches bodies of the current version only, bounded by size; the least recently used ones are evicted first."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._cached_version: Version | None = None
        self._bodies = _empty_cache()
        self._flight: SingleFlight[tuple[Version, StatusQuery], RenderedBody] = SingleFlight()

    def is_current(self, version: Version) -> bool:
        """Whether this very version is the current one."""
        self._age()
        return self._snapshot.loaded and version is self._snapshot.version

    def current_version(self) -> Version:
        """Return the version, aged to now. Raises Unavailable until the snapshot is loaded."""
        self._age()
        if not self._snapshot.loaded:
            raise Unavailable("The status is not loaded yet; try again shortly")
        return self._snapshot.version

    def _age(self) -> None:
        if self._snapshot.is_due:
            self._snapshot.tick(utc_now())

    async def render(self, query: StatusQuery) -> RenderedBody:
        """Raises Gone if `since` is too old, Unavailable until the snapshot is loaded."""
        version = self.current_version()
        if (cached := self._cache_of(version).get(query)) is not None:
            return cached
        return await self._flight.run((version, query), lambda: self._render_and_cache(query))

    def _cache_of(self, version: Version) -> LRUCache[StatusQuery, RenderedBody]:
        """Return the cache, emptied if it is of another version."""
        if version != self._cached_version:
            self._cached_version, self._bodies = version, _empty_cache()
        return self._bodies

    async def _render_and_cache(self, query: StatusQuery) -> RenderedBody:
        rendered = await self._render(query)
        if rendered.version == self._snapshot.version:
            with suppress(ValueError):  # larger than the whole cache
                self._cache_of(rendered.version)[query] = rendered
        return rendered

    async def _render(self, query: StatusQuery) -> RenderedBody:
        """Render the version that is current when this runs."""
        if query.gzip:
            plain = await self.render(replace(query, gzip=False))
            return replace(plain, etag=query.etag(plain.version), body=await _gzipped(plain.body))
        version, change = self._snapshot.version, self._change(query)
        if query.format is StatusFormat.METRICS:
            body = await self._metrics(query.filter)
        else:
            body = self._json(query, change)
        return RenderedBody(version, query.etag(version), body, change)

    def _change(self, query: StatusQuery) -> StatusChange | None:
        if query.since is None:
            return None
        change = self._snapshot.since(query.since, query.filter)
        if change is None:
            raise Gone(READ_WHOLE_STATUS)
        return change

    def _json(self, query: StatusQuery, change: StatusChange | None) -> bytes:
        snapshot = self._snapshot
        if query.format is StatusFormat.SUMMARY:
            return self._object(summarise(snapshot.select(query.filter), query.filter.regions[0]))
        if change is not None:
            fields = {"version": str(change.version), "removed": change.removed}
            return _with_list(self._object(fields), "changed", [entry.json for entry in change.changed])
        entries = snapshot.select(query.filter)
        if query.format is StatusFormat.GEOJSON:
            return _with_list(self._object({"type": "FeatureCollection"}), "features", map(_feature, entries))
        return _with_list(self._object(), "sites", [entry.json for entry in entries])

    async def _metrics(self, status_filter: StatusFilter) -> bytes:
        """Take the rows now and format them in a thread: it may be a million lines."""
        rows = [entry.json for entry in self._snapshot.select(status_filter)]
        names = self._snapshot.provider_names
        return await asyncio.to_thread(site_metrics.exposition, rows, self._data_age_s(), provider_names=names)

    def _data_age_s(self) -> float | None:
        beat_at = self._snapshot.beat_at
        return round((utc_now() - beat_at).total_seconds(), 1) if beat_at else None

    def beat(self) -> bytes:
        """Return the current version and the age of its data, as JSON."""
        return self._object()

    def _object(self, more: dict[str, Any] | None = None) -> bytes:
        return orjson.dumps(
            {
                "version": str(self._snapshot.version),
                "generated_at": utc_now(),
                "data_age_s": self._data_age_s(),
            }
            | (more or {}),
            option=orjson.OPT_UTC_Z,
        )


def _empty_cache() -> LRUCache[StatusQuery, RenderedBody]:
    return LRUCache(MAX_CACHED_BYTES, getsizeof=lambda rendered: len(rendered.body) + ENTRY_BYTES)


async def _gzipped(body: bytes) -> bytes:
    if len(body) < THREAD_FROM_BYTES:
        return gzip.compress(body, GZIP_LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, GZIP_LEVEL, mtime=0)


def _with_list(json_object: bytes, name: str, items: Iterable[bytes]) -> bytes:
    """Add a list of items that are JSON already to a JSON object."""
    return b'%b,"%b":[%b]}' % (json_object[:-1], name.encode(), b",".join(items))


def _feature(entry: StatusEntry) -> bytes:
    position = entry.site.longitude, entry.site.latitude
    point = None if None in position else {"type": "Point", "coordinates": position}
    return b'{"type":"Feature","id":%d,"geometry":%b,"properties":%b}' % (
        entry.site.id,
        orjson.dumps(point),
        entry.json,
    )
