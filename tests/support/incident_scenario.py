"""A scenario in which a test writes the ledgers of sites itself, at seconds after `start`, and reconciles incidents."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.outbox import write_announcements
from app.core.clock import floor_second, to_slot, utc_now
from app.incidents.reconcile import reconcile_incidents
from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Sessions, transaction
from app.worker import writer as worker
from probes.contract import CENTRAL, Outcome, Reading
from tests.conftest import Cast, Person
from tests.factories import register

LedgerPiece = tuple[int, int | None, str]  # from, to, state

INSERT = text("""
    INSERT INTO state_segment (site_id, started_at, ended_at, state, unknown_reason, last_ok_at, confirmed_at,
        first_ok_after) VALUES (:site, :start, :end, :state, :reason, :last_ok, :confirmed, :first_ok)
""")


@dataclass
class IncidentScenario:
    cast: Cast
    sessions: Sessions
    start: datetime
    now: datetime
    sites: dict[int, dict[str, Any]] = field(default_factory=dict)

    def at(self, second: float) -> datetime:
        return self.start + timedelta(seconds=second)

    def second(self, moment: str | datetime | None) -> int | None:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        return None if moment is None else round((moment - self.start).total_seconds())

    async def site(self, **changes: Any) -> int:
        """Register a site as of 100 s before `start`; return its id."""
        site = await register(self.cast, host=f"198.51.100.{len(self.sites) + 20}", **changes)
        async with transaction(self.sessions) as session:
            for statement in (
                "UPDATE site SET addressed_at = :start, created_at = :start WHERE id = :id",
                "UPDATE site_status SET addressed_at = :start, since = :start WHERE site_id = :id",
                "UPDATE site_configuration SET started_at = :start, addressed_at = :start WHERE site_id = :id",
            ):
                await session.execute(text(statement), {"start": self.at(-100), "id": site["id"]})
        self.sites[site["id"]] = site
        return int(site["id"])

    async def write(
        self, site: int, *pieces: LedgerPiece, reconcile: bool = True, span: tuple[int, int] | None = None
    ) -> None:
        """Replace the site's whole ledger; reconcile incidents over the span, by default all of it."""
        async with transaction(self.sessions) as session:
            await session.execute(text("DELETE FROM state_segment WHERE site_id = :id"), {"id": site})
            for start, end, state in pieces:
                down = state == "down"
                await session.execute(
                    INSERT,
                    {
                        "site": site,
                        "start": self.at(start),
                        "end": None if end is None else self.at(end),
                        "state": state,
                        "reason": "silent" if state == "unknown" else None,
                        "last_ok": self.at(start - 60) if down else None,
                        "confirmed": self.at(start + 10) if down else None,
                        "first_ok": self.at(end) if down and end and (end, state) in _answered(pieces) else None,
                    },
                )
        if reconcile:
            await self.reconcile((site, *(span or (-100, 3600))))

    async def reconcile(self, *spans: tuple[int, int, int], now: datetime | None = None) -> None:
        dirty_ranges = [DirtyRange(site, self.at(start), self.at(end)) for site, start, end in spans]
        async with transaction(self.sessions) as session:
            await self._follow(session, dirty_ranges, now or self.now)

    async def _follow(self, session: AsyncSession, dirty_ranges: Sequence[DirtyRange], now: datetime) -> None:
        await write_announcements(session, await reconcile_incidents(session, dirty_ranges, now=now), now=now)

    async def read(self, site: int, *looks: tuple[int, Outcome], blind: tuple[int, int] | None = None) -> None:
        """Write readings as the worker does."""
        items = [(self._reading(site, *look), self.at(-100)) for look in looks]
        unseen = [BlindRange(self.at(blind[0]), self.at(blind[1]), "uplink")] if blind else []
        async with transaction(self.sessions) as session:
            await worker.write_batch(session, items, unseen)
            seconds = [second for second, _ in looks]
            await self._follow(session, [DirtyRange(site, self.at(min(seconds)), self.at(max(seconds)))], self.now)

    def _reading(self, site: int, second: int, outcome: Outcome) -> Reading:
        rtt = (20_000, 21_000, 25_000) if outcome is Outcome.OK else ()
        slot = to_slot(self.start) + second
        return Reading(site, slot, outcome, 0 if outcome is Outcome.FAULT else 3, rtt, 60, None, CENTRAL)

    async def list_incidents(self, person: Person | None = None, **params: str) -> list[dict[str, Any]]:
        """Oldest outage first."""
        answer = await (person or self.cast.sari).get("/incidents", params=params)
        assert answer.status_code == 200, answer.text
        return list(reversed(answer.json()["items"]))

    async def get(self, incident_id: int, person: Person | None = None) -> dict[str, Any]:
        answer = await (person or self.cast.sari).get(f"/incidents/{incident_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def patch(self, incident_id: int, person: Person | None = None, **changes: Any) -> dict[str, Any]:
        answer = await (person or self.cast.sari).patch(f"/incidents/{incident_id}", changes)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def summaries(self) -> list[tuple[int, str, int | None, int | None]]:
        """(id, status, from, to) of every incident, the oldest outage first."""
        return [
            (incident["id"], incident["status"], self.second(incident["started_at"]), self.second(incident["ended_at"]))
            for incident in await self.list_incidents()
        ]

    async def count(self, table: str) -> int:
        async with transaction(self.sessions) as session:
            return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)

    async def dump_tables(self) -> list[Any]:
        """Return every row of the incident tables."""
        async with transaction(self.sessions) as session:
            return [
                (await session.execute(text(f"SELECT * FROM {table} ORDER BY id"))).all()
                for table in ("incident", "incident_site", "incident_event", "incident_note", "outage_cause")
            ]


def _answered(pieces: Sequence[LedgerPiece]) -> set[tuple[int, str]]:
    """Return (end, state) of the pieces that are followed by an answer."""
    up = {start for start, _, state in pieces if state == "up"}
    return {(end, state) for _, end, state in pieces if end in up}


@pytest.fixture
async def scenario(cast: Cast, sessions: Sessions, session: AsyncSession) -> IncidentScenario:
    now = floor_second(utc_now())
    return IncidentScenario(cast, sessions, now - timedelta(hours=1), now)
