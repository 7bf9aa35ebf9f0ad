"""Sites that push, at moments that the test chooses: from the device's rows to states, incidents and figures."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens
from app.core.clock import floor_second, to_slot, utc_now
from app.postgres.engine import Sessions, transaction
from app.push import inbox, parser, receipts
from app.push.dedupe import PushResult, ReceivedPush
from app.push.inbox import Delivery
from app.push.timestamps import ARRIVAL, PushSite, assign_slots
from app.worker.counters import WorkerCounters
from app.worker.inbox_consumer import InboxConsumer
from app.worker.ingest_heartbeat import IngestHeartbeat
from app.worker.ingest_proof import IngestProof
from app.worker.judging_session import JudgingSessions
from probes.contract import AGENT, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register


@dataclass
class Field:
    """Sites that push, registered three hours ago. Seconds are counted from `start`, an hour ago."""

    sessions: Sessions
    cast: Cast
    app: FastAPI
    start: datetime
    ids: list[int]
    consumer: InboxConsumer

    def copy(self, sessions: Sessions, cast: Cast, app: FastAPI) -> "Field":
        """Return the same sites, with a consumer of the same memory, for a test with sessions of its own."""
        own = {id(self.sessions): sessions, id(self.consumer.heartbeat): self.consumer.heartbeat}
        return replace(self, sessions=sessions, cast=cast, app=app, consumer=deepcopy(self.consumer, own))

    def at(self, second: float) -> datetime:
        return self.start + timedelta(seconds=second)

    def second(self, moment: str | datetime | None) -> int | None:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        return None if moment is None else round((moment - self.start).total_seconds())

    def row(
        self, second: float, outcome: str = "ok", *, answered: int = 3, sent: int = 3, valid_s: int = 60
    ) -> Reading:
        rtt_us = (20_000,) * (answered if outcome == "ok" else 0)
        return Reading(0, to_slot(self.at(second)), Outcome(outcome), sent, rtt_us, valid_s, "claimed", AGENT)

    async def push(self, site_id: int | None, rows: Sequence[Reading] = (), *, received: float | None = None) -> None:
        at = utc_now() if received is None else self.at(received)
        async with transaction(self.sessions) as session:
            delivery = Delivery.heartbeat(at) if site_id is None else Delivery.of_site(site_id, at, rows)
            await inbox.enqueue(session, [delivery])
            if site_id is not None:
                await session.execute(
                    text(
                        "INSERT INTO device "
                        "(site_id, heard_at, told_s, boot, seq, accepted, duplicates, rejected, token_id) "
                        "VALUES (:id, :at, 60, 'b', 1, 1, 0, 0, "
                        "(SELECT max(id) FROM device_token WHERE site_id = :id)) "
                        "ON CONFLICT (site_id) DO UPDATE SET "
                        "heard_at = greatest(device.heard_at, excluded.heard_at), token_id = excluded.token_id"
                    ),
                    {"id": site_id, "at": at},
                )

    async def beat(self, site_id: int, *seconds: float, **fields: Any) -> None:
        """One push in each of these seconds, of a reading of that second."""
        for second in seconds:
            await self.push(site_id, [self.row(second, **fields)], received=second)

    async def send(
        self,
        site_id: int,
        received: float,
        rows: Sequence[tuple[float, int]] = (),
        *,
        boot: str = "b",
        address: str | None = "36.70.1.9",
        every: int = 60,
        token_since: float = -7200,
    ) -> PushResult:
        """A push as the api records it: rows as (second, packets answered of 3, or -1: none sent), dated by uptime."""
        batch = [
            {
                "seq": round(second),
                "uptime_s": 86_400 + second,
                "sent": 0 if answered < 0 else 3,
                "rtt_ms": [20] * answered,
            }
            for second, answered in rows
        ]
        push = parser.parse({"boot": boot, "uptime_s": 86_400 + received, "batch": batch})
        at = self.at(received)
        received_us = round(at.timestamp() * 1_000_000)
        site = PushSite(site_id, "active", to_slot(self.start) - 7200, 60, every, to_slot(self.at(token_since)))
        timed = assign_slots(push, received_us, site)
        async with transaction(self.sessions) as session:
            token_id = await session.scalar(
                text("SELECT max(id) FROM device_token WHERE site_id = :id"), {"id": site_id}
            )
            received_push = ReceivedPush(site, at, received_us, 100, push, timed, token_id, address)
            (result,) = await receipts.record_pushes(session, [received_push])
        return result

    async def drain(self) -> None:
        more = True
        while more:
            _, more = await self.consumer.step()

    async def record_missed(self, now: float) -> None:
        await self.drain()
        await self.consumer.missed.record(self.consumer.proof, self.at(now))

    async def live(self, first: float, last: float, *, sites: Sequence[int], every: int = 60) -> None:
        """Every 15 s: our heartbeat, the sites' pushes, and what the worker makes of both."""
        second = first
        while second <= last:
            await self.push(None, received=second)
            for site_id in sites:
                if second % every == 0:
                    await self.beat(site_id, second)
            await self.record_missed(second + 1)
            second += 15

    async def states(self, site_id: int) -> list[tuple[int | None, str, str | None]]:
        async with transaction(self.sessions) as session:
            rows = await session.execute(
                text(
                    "SELECT started_at, state, unknown_reason FROM state_segment "
                    "WHERE site_id = :id ORDER BY started_at"
                ),
                {"id": site_id},
            )
            return [(self.second(row.started_at), row.state, row.unknown_reason) for row in rows]

    async def silences(self, site_id: int) -> list[tuple[int | None, str]]:
        async with transaction(self.sessions) as session:
            rows = await session.execute(
                text("SELECT slot, outcome FROM measurement WHERE site_id = :id AND source = 'silence' ORDER BY slot"),
                {"id": site_id},
            )
            return [(self.second(row.slot), row.outcome) for row in rows]

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.cast.sari.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def uptime(self, site_id: int, first: float, last: float) -> dict[str, Any]:
        bounds = {"from": self.at(first).isoformat(), "to": self.at(last).isoformat()}
        return (await self.get(f"/sites/{site_id}/uptime", **bounds))["total"]  # type: ignore[no-any-return]


def arrival(field: Field, second: float) -> Reading:
    return Reading(0, to_slot(field.at(second)), Outcome.OK, 0, (), 60, ARRIVAL, AGENT)


@pytest.fixture
async def field(sessions: Sessions, cast: Cast, session: AsyncSession, app: FastAPI) -> Field:
    return await register_field(sessions, cast, session, app)


async def register_field(sessions: Sessions, cast: Cast, session: AsyncSession, app: FastAPI) -> Field:
    start = floor_second(utc_now()) - timedelta(hours=1)
    ids = [(await register(cast, probe="push", host=None))["id"] for _ in range(4)]
    async with session.begin():
        for site_id in ids:
            await agent_tokens.mint(session, site_id, by="Sari")
        for statement in (
            "UPDATE site SET addressed_at = :since, created_at = :since",
            "UPDATE site_status SET addressed_at = :since, since = :since",
            "UPDATE site_configuration SET started_at = :since, addressed_at = :since",
        ):
            await session.execute(text(statement), {"since": start - timedelta(hours=2)})
    return Field(sessions, cast, app, start, ids, open_consumer(sessions, start))


def open_consumer(sessions: Sessions, start: datetime) -> InboxConsumer:
    """Return one that has read nothing yet."""
    heartbeat = IngestHeartbeat("http://127.0.0.1:9")
    return InboxConsumer(JudgingSessions(sessions), WorkerCounters(), heartbeat, IngestProof(start), start)
