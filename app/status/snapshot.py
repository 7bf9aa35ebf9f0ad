"""The current status of every site in memory: built once, then kept by what changed, and aged by our own clock.

What is read waits in the entries until it is published: at once when a state or anything else that people act on
changed, else with the next refresh of the figures. A published version stands still: what is shown of a site is
rendered once, and every answer is made of that.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.availability.maintenance_overlay import RunningMaintenance, running_now
from app.core.clock import utc_now
from app.core.freshness import CLOCK_TOLERANCE, hold_s
from app.judging.blind_ranges import reasons_from_beats
from app.postgres.engine import Sessions, transaction
from app.registry.models import State
from app.status import store
from app.status.changelog import History, Place, Step
from app.status.row import NOTHING, Entry, Shown
from app.status.selection import Selection
from app.status.version import START, Version
from probes.contract import AGENT, CENTRAL, SILENCE

Beats = Mapping[str, tuple[datetime, datetime | None]]

NO_WORK = RunningMaintenance()
REMEMBERED = 20_000  # moves, and four more for each site: minutes of them


@dataclass
class Snapshot:
    """Entries by site id."""

    refresh_s: float
    entries: dict[int, Entry] = field(default_factory=dict)
    version: Version = START
    versions: int = 0  # published since the start
    loaded: bool = False
    beat_at: datetime | None = None
    blind_since: datetime | None = None
    published: asyncio.Event = field(default_factory=asyncio.Event)  # the next version; each has its own
    _read: Version = START
    _at_work: RunningMaintenance = NO_WORK
    _history: History = field(default_factory=lambda: History(most=REMEMBERED))
    _touched: set[int] = field(default_factory=set)
    _urgent: bool = False
    _left: dict[int, Place] = field(default_factory=dict)
    _stale: set[int] = field(default_factory=set)
    _beats: Beats = field(default_factory=dict)
    _gone: dict[str, str] = field(default_factory=lambda: _reasons({}, utc_now()))  # why nothing is known of those
    _lapses: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # by the second
    _aged: int = field(default_factory=lambda: math.floor(time.time()))  # the next of those seconds
    _refreshed: float = 0.0

    @property
    def deaf_since(self) -> datetime | None:
        """Since when it is not proven that devices' pushes are heard."""
        return self._beats.get(SILENCE, (None, None))[1]

    @property
    def has_pushing_sites(self) -> bool:
        return any(entry.site.evidence == AGENT for entry in self.entries.values())

    async def refresh(self, sessions: Sessions) -> None:
        """Reads what changed since the last time. The counters are read first, so nothing can fall between."""
        async with transaction(sessions) as session:
            generation, *counted = await store.counters(session)
            if generation != self._read.generation:
                self._forget()
            seen = self._read
            if [seen.status, seen.registry, seen.incident] != counted:
                async for rows in store.changed(
                    session, status=seen.status, registry=seen.registry, incident=seen.incident
                ):
                    self._take(rows)
                    await asyncio.sleep(0)
            beats = await store.beats(session)
            if counted[1] != seen.registry or self.work_is_over:
                self._work(await running_now(session, utc_now()))
        self._read = Version(generation, counted[0], counted[1], counted[2], 0)
        self._beats = beats
        self.beat_at, self.blind_since = beats.get(CENTRAL, (None, None))
        self.loaded = True

    def _forget(self) -> None:
        """Another database, or the same one restored: nothing of what was seen holds."""
        self.entries.clear()
        self._history.clear()
        self._stale.clear()
        self._lapses.clear()
        self._touched, self._left, self._urgent = set(), {}, True
        self._read, self.loaded = START, False

    def _take(self, rows: Iterable[Any]) -> None:
        now = utc_now()
        for row in rows:
            old = self.entries.get(row.id)
            if row.lifecycle != "active":
                if old is not None:
                    self._leave(old)
                    del self.entries[row.id]
                continue
            entry = Entry.read(row)
            if entry == old:
                continue
            if old is not None:
                entry.shown, entry.row = old.shown, old.row
                if old.site != entry.site:
                    self._leave(old)
            self.entries[row.id] = entry
            self._touch(entry, now)
            self._watch(entry)

    def _leave(self, entry: Entry) -> None:
        """It is no more what and where it was: whoever does not see it as it is now is told."""
        self._left.setdefault(entry.site.id, Place(entry.site.village_code, entry.provider_id))
        self._touched.discard(entry.site.id)
        self._stale.discard(entry.site.id)
        self._urgent = True

    def _touch(self, entry: Entry, now: datetime) -> None:
        self._touched.add(entry.site.id)
        self._urgent = self._urgent or self._shows(entry, now) != entry.shown

    def _shows(self, entry: Entry, now: datetime) -> Shown:
        return entry.shows(
            now, gone=self._gone[entry.site.evidence], maintenance=entry.site.id in self._at_work.site_ids
        )

    def _watch(self, entry: Entry) -> None:
        """When its evidence begins and ceases to speak for it."""
        if entry.evidence_at is None:
            return
        evidence = math.ceil(entry.evidence_at.timestamp())
        for second in (evidence - CLOCK_TOLERANCE.seconds, evidence + hold_s(entry.valid_s)):
            if second >= self._aged:
                self._lapses[second].append(entry.site.id)

    def _work(self, running: RunningMaintenance) -> None:
        changed = running.site_ids ^ self._at_work.site_ids
        self._at_work = running
        now = utc_now()
        for entry in self._known(changed):
            self._touch(entry, now)

    def _known(self, ids: Iterable[int]) -> Iterator[Entry]:
        return (self.entries[site_id] for site_id in ids if site_id in self.entries)

    @property
    def work_is_over(self) -> bool:
        """Whether maintenance has begun or ended since it was read."""
        return self._at_work.is_over(utc_now())

    @property
    def is_due(self) -> bool:
        """Whether a second has begun in which states may be too old."""
        return self._aged < time.time()

    def tick(self, now: datetime) -> None:
        """Ages what is known, and publishes what is to be seen by now."""
        if not self.loaded:
            return
        self._age(now)
        gone = _reasons(self._beats, now)
        if gone != self._gone:
            self._gone = gone
            for entry in self._known(self._stale):
                self._touch(entry, now)
        if self._urgent or time.monotonic() - self._refreshed >= self.refresh_s:
            self._publish(now)

    def _age(self, now: datetime) -> None:
        second = now.timestamp()
        if second < self._aged - CLOCK_TOLERANCE.total_seconds():  # the clock was set back
            self._aged = math.floor(second)
            for entry in self.entries.values():
                self._touch(entry, now)
        while self._aged < second:
            for entry in self._known(self._lapses.pop(self._aged, ())):
                self._touch(entry, now)
            self._aged += 1

    def _publish(self, now: datetime) -> None:
        regrouped = []
        for entry in self._known(self._touched):
            before, shown = entry.shown, self._shows(entry, now)
            entry.show(shown)
            site_id = entry.site.id
            if before.state != shown.state and before is not NOTHING:
                regrouped.append(site_id)
            unknown = shown.state == State.UNKNOWN and entry.evidence_at is not None
            (self._stale.add if unknown else self._stale.discard)(site_id)
        self._history.most = REMEMBERED + 4 * len(self.entries)
        if self.version.generation == self._read.generation:
            self._history.add(Step(self.version, self._touched, regrouped, self._left))
        self.version = self._read._replace(ms=max(int(now.timestamp() * 1000), self.version.ms + 1))
        self.versions += 1
        self._touched, self._left, self._urgent, self._refreshed = set(), {}, False, time.monotonic()
        published, self.published = self.published, asyncio.Event()
        published.set()

    def select(self, wanted: Selection) -> list[Entry]:
        """In the order of their ids."""
        found = [entry for entry in self.entries.values() if wanted.holds(entry)]
        found.sort(key=lambda entry: entry.site.id)
        return found

    def since(self, seen: Version, wanted: Selection) -> "Change | None":
        """None when it is too long ago, or of another database."""
        steps = self._history.since(seen, current=self.version)
        if steps is None or seen.ms > self.version.ms + 60_000:
            return None
        moved = {site_id for step in steps for site_id in step.moved}
        changed = {entry.site.id: entry for entry in self._known(moved) if wanted.holds(entry)}
        removed = {
            entry.site.id
            for entry in self._known({site_id for step in steps for site_id in step.regrouped})
            if wanted.reaches(entry.site.village_code, entry.provider_id)
        } | {site_id for step in steps for site_id, place in step.left.items() if wanted.reaches(*place)}
        return Change(
            self.version.told(seen), [changed[site_id] for site_id in sorted(changed)], sorted(removed - changed.keys())
        )


def _reasons(beats: Beats, now: datetime) -> dict[str, str]:
    return {evidence: reason.value for evidence, reason in reasons_from_beats(beats, now).items()}


@dataclass(frozen=True, slots=True)
class Change:
    version: Version
    changed: list[Entry]
    removed: list[int]
