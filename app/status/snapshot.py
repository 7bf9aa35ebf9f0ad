"""The current status of every site in memory: built once, then kept by the worker's notices, aged by our own clock."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.access.scope import Caller
from app.clock import utc_now
from app.database import CHANNEL, Sessions, connect_args, transaction
from app.evidence import AHEAD, holds_until, lapses_at
from app.ledger.blindness import reason_from_beat
from app.ledger.maintenance import Running, running_now
from app.registry.models import State

log = structlog.get_logger()

ROWS = text("""
    WITH changed AS (
        SELECT site_id FROM site_status WHERE version > :status UNION SELECT id FROM site WHERE version > :registry
        UNION SELECT m.site_id FROM incident_site m JOIN incident i ON i.id = m.incident_id WHERE i.version > :incident
    )
    SELECT s.id, s.code, s.name, s.village_code, s.technology, s.provider_id, p.slug AS provider, s.latitude,
        s.longitude, s.lifecycle, s.probe, st.version, st.state, st.unknown_reason, st.since, st.evidence_at,
        st.valid_s, st.last_ok_at, st.rtt_us, st.loss_pct, i.id AS incident_id,
        i.acknowledged_at IS NOT NULL AS acknowledged
    FROM changed JOIN site s ON s.id = changed.site_id JOIN site_status st ON st.site_id = s.id
        JOIN provider p ON p.id = s.provider_id
        LEFT JOIN incident_site m ON m.site_id = s.id AND m.ended_at IS NULL AND m.withdrawn_at IS NULL
        LEFT JOIN incident i ON i.id = m.incident_id
""")
VERSIONS = text("SELECT (SELECT version FROM change_counter WHERE name = 'status') AS status, "
                "(SELECT version FROM change_counter WHERE name = 'registry') AS registry, "
                "(SELECT version FROM change_counter WHERE name = 'incident') AS incident")  # fmt: skip
BEAT = text("SELECT beat_at, blind_since FROM worker_beat ORDER BY beat_at DESC LIMIT 1")

NO_WORK = Running()
RESYNC_S = 5.0  # a notice that was lost, and a beat that nobody gave notice of, are found after this long


@dataclass(slots=True)
class Entry:
    """A site as dashboards see it, and what ages it."""

    id: int
    village_code: str
    provider_id: int
    technology: str
    provider: str
    state: str
    unknown_reason: str | None
    since: datetime
    evidence_at: datetime | None
    valid_s: int
    holds_until: datetime | None
    fixed: dict[str, Any] = field(repr=False)  # what only the registry changes
    rtt_ms: float | None = None
    loss_pct: float | None = None
    last_seen_at: datetime | None = None
    incident_id: int | None = None  # the one that is open
    acknowledged: bool = False

    def state_at(self, now: datetime) -> str:
        return State.UNKNOWN.value if self.is_stale(now) else self.state

    def is_stale(self, now: datetime) -> bool:
        """`not evidence.holds(...)`, with its bound worked out once: it is asked for every site every second."""
        if self.evidence_at is None or self.holds_until is None:
            return False
        return now > self.holds_until or now < self.evidence_at - AHEAD


@dataclass
class Snapshot:
    """Entries by site id. `version` moves when a state changed, or when fresher figures are due."""

    refresh_s: float
    entries: dict[int, Entry] = field(default_factory=dict)
    status_seen: int = -1
    registry_seen: int = -1
    incident_seen: int = -1
    version: str = "0"
    loaded: bool = False
    beat_at: datetime | None = None
    blind_since: datetime | None = None
    under_maintenance: Running = NO_WORK
    _shown: dict[int, Any] = field(default_factory=dict)
    _refreshed: float = 0.0

    async def refresh(self, sessions: Sessions) -> None:
        """Reads what changed since the last time. The versions are read first, so nothing can fall between."""
        async with transaction(sessions) as session:
            versions = (await session.execute(VERSIONS)).one()
            seen = {"status": self.status_seen, "registry": self.registry_seen, "incident": self.incident_seen}
            if versions._asdict() != seen:
                for row in await session.execute(ROWS, seen):
                    self._take(row)
            beat = (await session.execute(BEAT)).one_or_none()
            if versions.registry != self.registry_seen or self.under_maintenance.is_over(utc_now()):
                self.under_maintenance = await running_now(session, utc_now())
        self.status_seen, self.registry_seen, self.incident_seen = versions
        self.beat_at, self.blind_since = (beat.beat_at, beat.blind_since) if beat else (None, None)
        self.loaded = True

    def _take(self, row: Any) -> None:
        if row.lifecycle != "active":
            self.entries.pop(row.id, None)
            return
        self.entries[row.id] = Entry(
            row.id, row.village_code, row.provider_id, row.technology, row.provider, row.state,
            row.unknown_reason, row.since,
            row.evidence_at, row.valid_s, holds_until(row.evidence_at, row.valid_s) if row.evidence_at else None,
            {
                "id": row.id, "code": row.code, "name": row.name, "village_code": row.village_code,
                "technology": row.technology, "provider": row.provider, "latitude": row.latitude,
                "longitude": row.longitude, "evidence": "agent" if row.probe == "push" else "central",
            },
            None if row.rtt_us is None else row.rtt_us / 1000, row.loss_pct, row.last_ok_at,
            row.incident_id, row.acknowledged,
        )  # fmt: skip

    def publish(self, now: datetime) -> None:
        """Moves the version when what is shown of a site is another, but for its figures: they wait `refresh_s`."""
        at_work = self.under_maintenance.site_ids
        shown = {
            entry.id: (entry.state_at(now), entry.incident_id, entry.acknowledged, entry.id in at_work)
            for entry in self.entries.values()
        }
        due = time.monotonic() - self._refreshed >= self.refresh_s
        if shown != self._shown or due:
            self._shown, self._refreshed = shown, time.monotonic()
            self.version = f"{self.status_seen}.{self.registry_seen}.{int(now.timestamp() * 1000)}"

    def visible(self, caller: Caller) -> Iterable[Entry]:
        return (entry for entry in self.entries.values() if caller.sees(entry.village_code, entry.provider_id))

    def present(self, entry: Entry, now: datetime) -> dict[str, Any]:
        state, reason, since = entry.state, entry.unknown_reason, entry.since
        if entry.evidence_at is not None and entry.is_stale(now):
            state, since = State.UNKNOWN.value, min(lapses_at(entry.evidence_at, entry.valid_s), now)
            reason = reason_from_beat(self.beat_at, self.blind_since, now).value
        fresh = state in {"up", "degraded"}
        return entry.fixed | {
            "state": state, "unknown_reason": reason, "since": since, "last_seen_at": entry.last_seen_at,
            "rtt_ms": entry.rtt_ms if fresh else None, "loss_pct": None if state == "unknown" else entry.loss_pct,
            "maintenance": entry.id in self.under_maintenance.site_ids, "incident_id": entry.incident_id,
            "acknowledged": entry.acknowledged,
        }  # fmt: skip


class Follower:
    """Keeps a snapshot true: listens for notices, reads at most once a second, and resynchronises a lost line."""

    def __init__(self, snapshot: Snapshot, sessions: Sessions, url: str) -> None:
        self._snapshot, self._sessions, self._url = snapshot, sessions, url
        self._changed = asyncio.Event()
        self._line: asyncpg.Connection | None = None

    async def run(self) -> None:
        while True:
            try:
                await self._listen()
                await self._snapshot.refresh(self._sessions)
            except Exception as error:
                log.warning("status_unread", error=type(error).__name__)
            self._snapshot.publish(utc_now())
            await self._next_change()

    async def _next_change(self) -> None:
        """Waits for a notice, but never longer than states take to age or a line to be found dead."""
        started = time.monotonic()
        while time.monotonic() - started < (RESYNC_S if self._is_listening() else 1.0):
            try:
                await asyncio.wait_for(self._changed.wait(), 1.0)
                break
            except TimeoutError:
                self._snapshot.publish(utc_now())
        self._changed.clear()
        await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - started)))

    def _is_listening(self) -> bool:
        return self._line is not None and not self._line.is_closed()

    async def _listen(self) -> None:
        if self._is_listening():
            return
        url = make_url(self._url).set(drivername="postgresql")
        args = connect_args("api listen")
        self._line = await asyncpg.connect(
            url.render_as_string(hide_password=False), timeout=5, server_settings=args["server_settings"]
        )
        await self._line.add_listener(CHANNEL, lambda *_: self._changed.set())

    async def close(self) -> None:
        if self._line is not None:
            self._line.terminate()
