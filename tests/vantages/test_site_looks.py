"""A site that one of three vantages loses: its state, and what the API says of it from where."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, to_slot, utc_now
from app.judging import ingest
from app.postgres.engine import Sessions, transaction
from probes.contract import VANTAGES, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.delivering_probers import make_vantage
from tests.support.rejudged_village import backdate
from tests.support.status import status

OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT
RTT_MS = {0: 20, 1: 30, 2: 90}
MINUTES = 30


@dataclass
class Seen:
    sessions: Sessions
    cast: Cast
    start: datetime
    site: int

    def at(self, minute: float) -> datetime:
        return self.start + timedelta(minutes=minute)

    async def look(self, vantage: int, minutes: Iterable[int], outcome: Outcome = OK) -> None:
        rtts = (1000 * RTT_MS[vantage],) * 3 if outcome is OK else ()
        readings = [
            Reading(self.site, to_slot(self.at(n)), outcome, 3, rtts, 60, None, VANTAGES[vantage]) for n in minutes
        ]
        async with transaction(self.sessions) as session:
            await ingest.ingest_readings(session, [(reading, self.start) for reading in readings])

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = await self.cast.ana.get(f"/sites/{self.site}{path}", params=params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def states(self) -> list[tuple[float, str]]:
        found = (await self.get("/segments", **{"from": self.start.isoformat(), "to": self.at(MINUTES).isoformat()}))[
            "items"
        ]
        since = [(datetime.fromisoformat(one["started_at"]) - self.start).total_seconds() / 60 for one in found]
        return [
            (minute, one["state"]) for minute, one in sorted(zip(since, found, strict=True), key=lambda one: one[0])
        ]


@pytest.fixture
async def seen(sessions: Sessions, cast: Cast, session: AsyncSession) -> Seen:
    await make_vantage(cast, 1, "telkom")
    await make_vantage(cast, 2, "icon")
    site = await register(cast, vantages=[0, 1, 2])
    start = floor_second(utc_now()) - timedelta(minutes=MINUTES)
    await backdate(session, start)
    return Seen(sessions, cast, start, site["id"])


async def test_lost_from_one_place_a_site_is_degraded_and_every_answer_says_from_where(
    seen: Seen, app: FastAPI
) -> None:
    for vantage in (0, 2):
        await seen.look(vantage, range(MINUTES))
    await seen.look(1, range(20))
    await seen.look(1, range(20, MINUTES), TIMEOUT)
    assert await seen.states() == [(0, "up"), (20, "degraded")]

    (shown,) = (await status(app, seen.cast.ana)).values()
    assert (shown["state"], shown["lost_from"], shown["rtt_ms"]) == ("degraded", [1], 20.0)

    vantages = (await seen.get("/vantages"))["items"]
    assert [(one["vantage"], one["name"], one["is_primary"], one["outcome"]) for one in vantages] == [
        (0, "central", True, "ok"),
        (1, "telkom", False, "timeout"),
        (2, "icon", False, "ok"),
    ]
    assert datetime.fromisoformat(vantages[1]["lost_since"]) == seen.at(20)
    assert [one["rtt_ms"] for one in vantages] == [20.0, None, 90.0]

    at = seen.at(25.5).isoformat()
    why = [sentence["en"] for sentence in (await seen.get("/explanation", at=at))["why"]]
    assert why[0].startswith("Degraded since"), why
    assert "two looks in a row from one place" in why[0]
    assert "Reached from Pusat, Jaringan icon, not from Jaringan telkom." in why
    statements = (await seen.get("/evidence", at=at))["statements"]
    assert [(one["says"], one["detail"].get("vantage"), one["counts"]) for one in statements] == [
        ("up", None, True),
        ("down", 1, False),
        ("up", 2, True),
    ]

    period = {"from": seen.start.isoformat(), "to": seen.at(MINUTES).isoformat()}
    for asked, vantage, samples, p50 in (({}, 0, 90, 20), ({"vantage": 2}, 2, 90, 90), ({"vantage": 1}, 1, 60, 30)):
        latency = await seen.get("/latency", **period, **asked)
        assert (latency["vantage"], latency["total"]["samples"]) == (vantage, samples)
        assert latency["total"]["p50_ms"] == pytest.approx(p50, rel=0.02)
    assert latency["total"]["loss_pct"] == pytest.approx(33.333, abs=0.001)


async def test_a_provider_that_hosts_a_vantage_cannot_hide_its_outages(seen: Seen) -> None:
    """Its prober answers whatever happens."""
    hosted = {"name": "telkom", "label": "Jaringan telkom", "provider": "telkom-wms"}
    assert (await seen.cast.sari.client.put("/api/v1/vantages/1", json=hosted)).status_code == 200
    async with transaction(seen.sessions) as session:
        await session.execute(text("UPDATE vantage_host SET started_at = :at"), {"at": seen.start})
    await seen.look(1, range(MINUTES))
    for vantage in (0, 2):
        await seen.look(vantage, range(10))
        await seen.look(vantage, range(10, MINUTES), TIMEOUT)
    assert await seen.states() == [(0, "up"), (10, "down")]
    vantages = (await seen.get("/vantages"))["items"]
    assert [(one["is_hosted"], one["decides"]) for one in vantages] == [(False, True), (True, False), (False, True)]
    why = [sentence["en"] for sentence in (await seen.get("/explanation", at=seen.at(20).isoformat()))["why"]]
    assert "Reached from Jaringan telkom, not from Pusat, Jaringan icon." in why
    assert any(sentence.startswith("Jaringan telkom stands at the site's own provider") for sentence in why)


async def test_what_nobody_else_can_see_the_hosted_one_decides(seen: Seen) -> None:
    await seen.look(1, range(MINUTES))
    for vantage in (0, 2):
        await seen.look(vantage, range(MINUTES), FAULT)
    assert await seen.states() == [(0, "up")]
