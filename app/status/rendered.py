"""Bodies of the version that is out, made once for all who ask the same."""

import asyncio
import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson

from app.core.clock import utc_now
from app.core.errors import Gone, Unavailable
from app.status import prometheus
from app.status.row import Entry
from app.status.selection import Selection
from app.status.snapshot import Change, Snapshot
from app.status.summary import summary
from app.status.version import Version

ZIPPED = "-gzip"
MOST_BYTES = 100_000_000
WORTH_A_THREAD, LEVEL = 50_000, 5
READ_ANEW = "Read the whole status without `since`, and go on from its version"


class Form(StrEnum):
    JSON = "json"
    GEOJSON = "geojson"
    SUMMARY = "summary"
    METRICS = "metrics"


MEDIA = {
    Form.JSON: "application/json",
    Form.GEOJSON: "application/geo+json",
    Form.SUMMARY: "application/json",
    Form.METRICS: "text/plain; version=0.0.4; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Question:
    wanted: Selection
    form: Form = Form.JSON
    since: Version | None = None
    zipped: bool = False

    def etag(self, version: Version) -> str:
        of = (self.wanted, self.form, self.since)
        digest = hashlib.blake2s(repr(of).encode(), digest_size=6).hexdigest()
        return f'"{version}-{digest}{ZIPPED if self.zipped else ""}"'


@dataclass(frozen=True, slots=True)
class Answer:
    version: Version
    etag: str
    body: bytes
    change: Change | None = None  # of an answer to `since`


class Answers:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._version: Version | None = None
        self._made: dict[Question, asyncio.Task[Answer]] = {}
        self._bytes = 0

    def is_out(self, version: Version) -> bool:
        """Whether it is the version that is out at this moment."""
        self._age()
        return self._snapshot.loaded and version is self._snapshot.version

    def version(self) -> Version:
        """The version that is out, aged to this moment. Raises Unavailable until there is one."""
        self._age()
        if not self._snapshot.loaded:
            raise Unavailable("The status is not read yet; try again shortly")
        return self._snapshot.version

    def _age(self) -> None:
        if self._snapshot.is_due:
            self._snapshot.tick(utc_now())

    async def get(self, asked: Question) -> Answer:
        """Raises Gone where `since` is too long ago."""
        version = self.version()
        if version != self._version:
            self._version, self._made, self._bytes = version, {}, 0
        task = self._made.get(asked)
        if task is None:
            task = self._made[asked] = asyncio.create_task(self._make(asked))
        try:
            return await asyncio.shield(task)  # who asked first may hang up
        except Gone:
            self._made.pop(asked, None)
            raise

    async def _make(self, asked: Question) -> Answer:
        """Of the version that is out by now."""
        if asked.zipped:
            plain = await self.get(replace(asked, zipped=False))
            version, change, body = plain.version, plain.change, await _zipped(plain.body)
        elif asked.form is Form.METRICS:
            version, change, body = self._snapshot.version, None, await self._exposed(asked.wanted)
        else:
            version, change = self._snapshot.version, self._change(asked)
            body = self._render(asked, change)
        self._bytes += len(body)
        if self._bytes > MOST_BYTES and self._version == version:
            self._made, self._bytes = {asked: self._made[asked]}, len(body)
        return Answer(version, asked.etag(version), body, change)

    def _change(self, asked: Question) -> Change | None:
        if asked.since is None:
            return None
        change = self._snapshot.since(asked.since, asked.wanted)
        if change is None:
            raise Gone(READ_ANEW)
        return change

    def _render(self, asked: Question, change: Change | None) -> bytes:
        snapshot = self._snapshot
        if asked.form is Form.SUMMARY:
            return self._object(summary(snapshot.select(asked.wanted), asked.wanted.region))
        if change is not None:
            known = {"version": str(change.version), "removed": change.removed}
            return _listing(self._object(known), "changed", [entry.row for entry in change.changed])
        entries = snapshot.select(asked.wanted)
        if asked.form is Form.GEOJSON:
            return _listing(self._object({"type": "FeatureCollection"}), "features", map(_feature, entries))
        return _listing(self._object(), "sites", [entry.row for entry in entries])

    async def _exposed(self, wanted: Selection) -> bytes:
        """Of the rows that stand in the version that is out; a thread writes them, for they may be a million lines."""
        rows = [entry.row for entry in self._snapshot.select(wanted)]
        return await asyncio.to_thread(prometheus.text, rows, self._data_age_s())

    def _data_age_s(self) -> float | None:
        beat_at = self._snapshot.beat_at
        return round((utc_now() - beat_at).total_seconds(), 1) if beat_at else None

    def age(self) -> bytes:
        """The version that is out, and how old what it says is at this moment."""
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


async def _zipped(body: bytes) -> bytes:
    if len(body) < WORTH_A_THREAD:
        return gzip.compress(body, LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)


def _listing(head: bytes, name: str, rows: Iterable[bytes]) -> bytes:
    """The object with one list more, of rows that are JSON already."""
    return b'%b,"%b":[%b]}' % (head[:-1], name.encode(), b",".join(rows))


def _feature(entry: Entry) -> bytes:
    at = entry.site.longitude, entry.site.latitude
    point = None if None in at else {"type": "Point", "coordinates": at}
    return b'{"type":"Feature","id":%d,"geometry":%b,"properties":%b}' % (entry.site.id, orjson.dumps(point), entry.row)
