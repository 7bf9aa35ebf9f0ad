"""What a process knows of the streams that devices hold open to it: when each was heard, and what was missed. Pure.

A device writes a line each two beats, with its uptime. One that does not come within LATE_S of its time is missed; when
the device is heard again, by that line or by a new connection of the same boot, the silence between is a break.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil, floor
from typing import NamedTuple

from app.streams.beat_clock import BeatClock
from app.streams.break_bounds import Break, Excuse, SeenBy

LATE_S = 5.0
SHARED_AT_LEAST = 3  # streams that are missed together, and half of all: more likely ours than theirs
STALLS_KEPT = 50
FORGOTTEN_AFTER_S = 86_400.0  # a missed device that comes later begins anew


class HeldSpan(NamedTuple):
    """A stretch in which a site's lines came in time."""

    site_id: int
    started_at: float
    ended_at: float
    beat_s: int


@dataclass(slots=True)
class HeldStream:
    """Times in seconds since 1970, by our clock."""

    site_id: int
    boot: str
    number: int  # of the device's connections of that boot
    beat_s: int
    heard_at: float
    span_from: float
    due_at: float
    clock: BeatClock = field(default_factory=BeatClock)
    missed_at: float | None = None  # when the line was due that did not come
    is_shared: bool = False  # most streams were missed with it
    is_open: bool = True

    @property
    def span(self) -> HeldSpan:
        return HeldSpan(self.site_id, self.span_from, self.heard_at, self.beat_s)

    def expect(self, at: float) -> None:
        self.heard_at, self.due_at = at, at + 2 * self.beat_s


@dataclass
class HeldStreams:
    """`spans`, `breaks` and `alternated` are what happened since they were last taken."""

    streams: dict[int, HeldStream] = field(default_factory=dict)  # by site
    spans: list[HeldSpan] = field(default_factory=list)  # that are over
    breaks: list[tuple[int, Break]] = field(default_factory=list)  # with the site
    alternated: dict[int, float] = field(default_factory=dict)  # sites whose token two boots use, and when they did
    _missed: set[int] = field(default_factory=set)
    _replaced: dict[int, str] = field(default_factory=dict)  # boots that another one replaced while they were heard
    _stalls: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=STALLS_KEPT))

    def open(self, site_id: int, boot: str, number: int, beat_s: int, at: float) -> HeldStream:
        """Return the stream of a connection, the same one for both its requests; it replaces an older connection's."""
        before = self.streams.get(site_id)
        if before is not None and before.is_open and (before.boot, before.number) == (boot, number):
            return before
        if before is not None:
            self.spans.append(before.span)
            self._end_silence(before, boot, at)
        stream = HeldStream(site_id, boot, number, beat_s, at, at, at + 2 * beat_s)
        self.streams[site_id] = stream
        return stream

    def read_line(self, stream: HeldStream, uptime_s: float, at: float) -> None:
        """Take note of a line: one that was held up on the way ends a break."""
        delay_s = stream.clock.delay_s(uptime_s, at)
        delay_s -= self._stalled_s(at - delay_s, at)
        written_at = at - delay_s
        if delay_s >= LATE_S and written_at >= stream.heard_at:  # else it waited behind the line before
            self._record(stream, lost_at=written_at, at=at)
        self._forgive(stream)
        stream.expect(at)

    def miss(self, stream: HeldStream, at: float) -> None:
        """The line that was due has not come by `at`."""
        if stream.missed_at is not None or self._stalled_s(stream.due_at, at) > 0:
            stream.due_at = at if stream.missed_at is None else stream.due_at  # we did not look: it may come yet
            return
        stream.missed_at = stream.due_at
        self._missed.add(stream.site_id)
        if len(self._missed) >= max(SHARED_AT_LEAST, len(self.streams) / 2):
            for site_id in self._missed:
                self.streams[site_id].is_shared = True

    def close(self, stream: HeldStream) -> None:
        """Its connection is gone. What was missed stays, until the device is heard again."""
        stream.is_open = False
        self.spans.append(stream.span)
        if stream.missed_at is None and self.streams.get(stream.site_id) is stream:
            del self.streams[stream.site_id]

    def note_stall(self, start: float, end: float) -> None:
        """This process did nothing from `start` to `end`: what came meanwhile is read late."""
        self._stalls.append((start, end))

    def forget(self, now: float) -> None:
        for stream in [one for one in self.streams.values() if not one.is_open]:
            if stream.heard_at < now - FORGOTTEN_AFTER_S:
                self._forgive(stream)
                del self.streams[stream.site_id]
        while len(self._replaced) > len(self.streams) + 1000:
            del self._replaced[next(iter(self._replaced))]

    def _end_silence(self, before: HeldStream, boot: str, at: float) -> None:
        """Of a device that started anew nothing is known: it may have had no power."""
        if boot == before.boot:
            if before.missed_at is not None:
                self._record(before, lost_at=before.missed_at, at=at)
        elif before.is_open and before.missed_at is None:
            if self._replaced.get(before.site_id) == boot:
                self.alternated[before.site_id] = at
            self._replaced[before.site_id] = before.boot
        self._forgive(before)

    def _record(self, stream: HeldStream, *, lost_at: float, at: float) -> None:
        """Nothing came through from `lost_at`, when a line was on its way, until shortly before `at`."""
        lost = moment(floor(lost_at))
        seen = Break(
            started_after=moment(floor(stream.heard_at)),
            started_before=moment(min(ceil(lost_at) + 1, ceil(at))),
            ended_after=lost,
            ended_before=moment(ceil(at)),
            seen_by=SeenBy.SERVER,
            heard_at=moment(ceil(at)),
            excuse=Excuse.SHARED if stream.is_shared else None,
        )
        self.spans.append(stream.span)
        self.breaks.append((stream.site_id, seen))
        stream.span_from = at

    def _forgive(self, stream: HeldStream) -> None:
        self._missed.discard(stream.site_id)
        stream.missed_at, stream.is_shared = None, False

    def _stalled_s(self, start: float, end: float) -> float:
        return sum(max(0.0, min(end, last) - max(start, first)) for first, last in self._stalls)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
