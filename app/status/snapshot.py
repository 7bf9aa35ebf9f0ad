"""The current status of every site in memory: loaded once, updated by what changed, and aged by our own clock.

What is read waits in the entries until it is published: at once when a state or anything else that people act on has
changed, otherwise with the next refresh of RTT and loss. A published version does not change: each site is rendered
at most once for it, and one of which only RTT and loss moved when it is first asked for. A site whose row cannot be
read, or whose entry cannot be rendered, is set aside (`rejected`).
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.maintenance_overlay import RunningMaintenance, running_now
from app.core.clock import utc_now
from app.judging.blind_ranges import reasons_from_beats
from app.postgres.engine import Sessions, transaction
from app.registry.models import State
from app.status import store
from app.status.ageing import AgeingSchedule
from app.status.changelog import ChangelogStep, FormerScope
from app.status.published import CHANGES_PER_SITE, MIN_CHANGES, PublishedStatus
from app.status.row import UNPUBLISHED, PublishedState, StatusEntry
from app.status.store import ChangeCounters, CountersAndBeats
from app.status.version import START, Version
from probes.contract import AGENT, CENTRAL, SILENCE

Beats = Mapping[str, tuple[datetime, datetime | None]]

log = structlog.get_logger()

NO_MAINTENANCE = RunningMaintenance()


@dataclass
class Snapshot(PublishedStatus):
    refresh_s: float = field(kw_only=True)
    provider_names: Mapping[str, str] = field(default_factory=dict)  # by slug
    versions: int = 0  # published since the start
    loaded: bool = False
    beat_at: datetime | None = None
    blind_since: datetime | None = None
    rejected: set[int] = field(default_factory=set)  # site ids that were set aside
    refresh_error: str | None = None  # an error of our own that keeps it from being refreshed
    published: asyncio.Event = field(default_factory=asyncio.Event)  # set with the next version, then replaced
    _read: Version = START
    _maintenance: RunningMaintenance = NO_MAINTENANCE
    _unpublished: set[int] = field(default_factory=set)  # entries that changed since the last version
    _urgent: bool = False
    _left: dict[int, FormerScope] = field(default_factory=dict)
    _stale: set[int] = field(default_factory=set)
    _beats: Beats = field(default_factory=dict)
    _stale_reasons: dict[str, str] = field(default_factory=lambda: _reasons({}, utc_now()))  # by kind of evidence
    _ageing: AgeingSchedule = field(default_factory=AgeingSchedule)
    _published_at: float = 0.0  # monotonic

    @property
    def deaf_since(self) -> datetime | None:
        """Return since when it is not proven that pushes arrive."""
        return self._beats.get(SILENCE, (None, None))[1]

    @property
    def has_pushing_sites(self) -> bool:
        return any(entry.site.evidence == AGENT for entry in self.entries.values())

    async def refresh(self, sessions: Sessions, known: CountersAndBeats | None = None) -> None:
        """Read what changed since the last refresh. `known`: counters and beats, read just before.

        Counters are read first, so that no change is missed.
        """
        if known is None:
            async with sessions() as session:  # only reads
                known = await store.get_counters_and_beats(session)
        counters, beats = known
        if counters.generation != self._read.generation:
            self._clear()
        if counters != self._read[:4] or self.maintenance_changed:
            async with transaction(sessions) as session:
                await self._read_changes(session, counters)
        self._read = Version(*counters, 0)
        self._beats = beats
        self.beat_at, self.blind_since = beats.get(CENTRAL, (None, None))
        self.loaded = True

    async def _read_changes(self, session: AsyncSession, counters: ChangeCounters) -> None:
        seen, unread = self._read, set[int]()
        if seen.status not in {START.status, counters.status}:
            async for rows in store.stream_moved(session, status=seen.status):
                unread.update(self._move(rows))
                await asyncio.sleep(0)
        if unread or (seen.registry, seen.incident) != (counters.registry, counters.incident):
            async for rows in store.stream_changed(
                session, registry=seen.registry, incident=seen.incident, site_ids=unread
            ):
                self._update(rows)
                await asyncio.sleep(0)
        if counters.registry != seen.registry:
            self.provider_names = await store.get_provider_names(session)
        if counters.registry != seen.registry or self.maintenance_changed:
            self._set_maintenance(await running_now(session, utc_now()))

    def _clear(self) -> None:
        """Forget everything: this is another database, or the same one restored."""
        self.entries.clear()
        self._changelog.clear()
        self._stale.clear()
        self._ageing.clear()
        self.rejected.clear()
        self._unpublished, self._left, self._urgent = set(), {}, True
        self._read, self.loaded = START, False

    def _move(self, rows: Iterable[Any]) -> Iterator[int]:
        """Move known sites in place; yield those whose whole row is needed."""
        now = utc_now()
        for row in rows:
            entry = self.entries.get(row.site_id)
            if entry is None or row.site_id in self.rejected:
                yield row.site_id
                continue
            try:
                if entry.move(row):
                    self._mark_changed(entry, now)
                    self._schedule(entry)
            except Exception as error:  # it ages to unknown
                self._reject(row.site_id, error)

    def _schedule(self, entry: StatusEntry) -> None:
        if entry.evidence_at is not None:
            self._ageing.add(entry.site.id, entry.evidence_at, entry.valid_s)

    def _update(self, rows: Iterable[Any]) -> None:
        now = utc_now()
        for row in rows:
            try:
                self._update_site(row, now)
            except Exception as error:  # an entry that the site has ages to unknown
                old = self.entries.get(row.id)
                if old is not None and (old.site.village_code, old.provider_id) != (row.village_code, row.provider_id):
                    self._remove(old)  # who may see it has changed
                self._reject(row.id, error)

    def _update_site(self, row: Any, now: datetime) -> None:
        old = self.entries.get(row.id)
        if row.lifecycle != "active":
            if old is not None:
                self._remove(old)
            self.rejected.discard(row.id)
            return
        entry = StatusEntry.from_row(row)
        if entry == old:
            self.rejected.discard(row.id)
            return
        if old is not None:
            entry.published_as(old)
            if old.site != entry.site:
                self._leave(old)
        self.entries[row.id] = entry
        self._mark_changed(entry, now)
        self._schedule(entry)

    def _reject(self, site_id: int, error: Exception) -> None:
        """Set a site aside until it can be published again; log it once."""
        if site_id not in self.rejected:
            log.error("status_row_rejected", site=site_id, exc_info=error)
        self.rejected.add(site_id)

    def _remove(self, entry: StatusEntry) -> None:
        self._leave(entry)
        del self.entries[entry.site.id]

    def _leave(self, entry: StatusEntry) -> None:
        """The site moved or left: callers who no longer see it are told that it is removed."""
        self._left.setdefault(entry.site.id, FormerScope(entry.site.village_code, entry.provider_id))
        self._unpublished.discard(entry.site.id)
        self._stale.discard(entry.site.id)
        self._urgent = True

    def _mark_changed(self, entry: StatusEntry, now: datetime) -> None:
        self._unpublished.add(entry.site.id)
        self._urgent = self._urgent or self._differs(entry, now)

    def _differs(self, entry: StatusEntry, now: datetime) -> bool:
        """Whether something else is to be published of it at once."""
        try:
            return self._state_at(entry, now) != entry.published
        except Exception:
            return True  # rejected when it is published

    def _state_at(self, entry: StatusEntry, now: datetime) -> PublishedState:
        reason = self._stale_reasons[entry.site.evidence]
        return entry.state_at(now, stale_reason=reason, maintenance=entry.site.id in self._maintenance.site_ids)

    def _set_maintenance(self, running: RunningMaintenance) -> None:
        changed = running.site_ids ^ self._maintenance.site_ids
        self._maintenance = running
        now = utc_now()
        for entry in self._existing(changed):
            self._mark_changed(entry, now)

    @property
    def maintenance_changed(self) -> bool:
        """Whether maintenance has started or ended since it was read."""
        return self._maintenance.is_over(utc_now())

    @property
    def is_due(self) -> bool:
        """Whether a second has begun for which states were not aged yet."""
        return self._ageing.is_due

    def tick(self, now: datetime) -> None:
        """Age the entries to `now`, and publish a version if one is due. Does nothing until loaded."""
        if not self.loaded:
            return
        self._age(now)
        reasons = _reasons(self._beats, now)
        if reasons != self._stale_reasons:
            self._stale_reasons = reasons
            for entry in self._existing(self._stale):
                self._mark_changed(entry, now)
        if self._urgent or time.monotonic() - self._published_at >= self.refresh_s:
            self._publish(now)

    def _age(self, now: datetime) -> None:
        site_ids = list(self.entries) if self._ageing.rewind(now) else []
        for entry in self._existing((*site_ids, *self._ageing.take_due(now))):
            if self._differs(entry, now):
                self._unpublished.add(entry.site.id)
                self._urgent = True
            self._schedule(entry)

    def _publish(self, now: datetime) -> None:
        changed_state, notable = self._publish_entries(now)
        self._changelog.max_changes = MIN_CHANGES + CHANGES_PER_SITE * len(self.entries)
        if self.version.generation == self._read.generation:
            self._changelog.add(ChangelogStep(self.version, self._unpublished, changed_state, notable, self._left))
        self.version = self._read._replace(ms=max(int(now.timestamp() * 1000), self.version.ms + 1))
        self.versions += 1
        self._unpublished, self._left, self._urgent, self._published_at = set(), {}, False, time.monotonic()
        published, self.published = self.published, asyncio.Event()
        published.set()

    def _publish_entries(self, now: datetime) -> tuple[Collection[int], Collection[int]]:
        """Render the entries that changed.

        Return the ids of those with another state than in the last version, and of those with anything else that is
        published at once.
        """
        changed_state, notable = [], []
        for entry in list(self._existing(self._unpublished)):
            site_id, before = entry.site.id, entry.published
            try:
                entry.publish(self._state_at(entry, now))
            except Exception as error:  # what was published of it does not age: it must not stay
                self._reject(site_id, error)
                self._remove(entry)
                continue
            self.rejected.discard(site_id)
            if before.state != entry.published.state and before is not UNPUBLISHED:
                changed_state.append(site_id)
            if before != entry.published:
                notable.append(site_id)
            unknown = entry.published.state == State.UNKNOWN and entry.evidence_at is not None
            (self._stale.add if unknown else self._stale.discard)(site_id)
        return changed_state, notable


def _reasons(beats: Beats, now: datetime) -> dict[str, str]:
    return {evidence: reason.value for evidence, reason in reasons_from_beats(beats, now).items()}
