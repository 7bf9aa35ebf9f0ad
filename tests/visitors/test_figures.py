"""What visitors' results come to: one visitor weighs as any other, forged ones weigh nothing, and no state changes."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.visitors import figures, statements
from app.witnesses.kinds import Says, WitnessKind
from tests.conftest import Cast
from tests.factories import register
from tests.support.visitors import ELSEWHERE, HOME, Visitor, add_network, result


@pytest.fixture
async def site(cast: Cast, session: AsyncSession) -> dict[str, Any]:
    created = await register(cast, probe="push", host=None, technology="geo")
    await add_network(session, created["id"])
    return created


async def measure(app: FastAPI, site: dict[str, Any], address: str, *rtts: float, age_ms: float = 2_000) -> Visitor:
    visitor = Visitor(app, address)
    visit = (await visitor.open(site["code"]))["visit"]
    await visitor.send(visit, *(result(seq, rtt_ms=(rtt,), age_ms=age_ms) for seq, rtt in enumerate(rtts)))
    return visitor


async def test_thousands_of_results_of_one_visitor_weigh_as_one(cast: Cast, app: FastAPI, site: dict[str, Any]) -> None:
    await measure(app, site, HOME, *[9_000.0] * 100)
    for rtt in (600.0, 610.0, 620.0):
        await measure(app, site, HOME, rtt)
    await measure(app, site, ELSEWHERE, 20.0)
    answer = (await cast.ana.get(f"/sites/{site['id']}/visitors?period=24h")).json()
    same, other = answer["total"]["same"], answer["total"]["other"]
    assert (same["results"], same["visitors"], same["rtt_p50_ms"]) == (103, 4, pytest.approx(615))
    assert (other["results"], other["visitors"], other["rtt_p50_ms"]) == (1, 1, pytest.approx(20))
    assert answer["total"]["unknown"] is None
    assert [row["same"]["results"] for row in answer["series"]] == [103]
    assert (await cast.ben.get(f"/sites/{site['id']}/visitors")).status_code == 404


async def test_what_cannot_be_true_is_counted_in_no_figure_and_told(
    cast: Cast, app: FastAPI, site: dict[str, Any], session: AsyncSession
) -> None:
    forger = await measure(app, site, HOME, *[20.0] * 9)  # from a geostationary satellite
    visit = (await forger.open(site["code"]))["visit"]
    await forger.send(visit, result(50, age_ms=2_000, rtt_ms=(600,), down={"bytes": 50_000_000, "ms": 500}))
    await measure(app, site, HOME, 600.0)
    same = (await cast.ana.get(f"/sites/{site['id']}/visitors")).json()["total"]["same"]
    assert (same["results"], same["flawed"], same["visitors"], same["rtt_p50_ms"]) == (11, 10, 1, 600)
    assert (same["down_tests"], same["down_mbps"]) == (0, None)
    (finding,) = (await cast.ana.get("/registry/checks?check=forged_visits")).json()["items"]
    assert finding["site_id"] == site["id"]
    assert finding["detail"] | {"flawed": 10, "results": 11, "visitors": 1} == finding["detail"]
    state = await session.scalar(text("SELECT state FROM site_status WHERE site_id = :id"), {"id": site["id"]})
    assert state == "unknown", "visitors' results never reach the judge"
    assert await session.scalar(text("SELECT count(*) FROM measurement")) == 0


async def test_a_result_over_the_sites_own_network_proves_up_in_its_second_and_nothing_else(
    app: FastAPI, site: dict[str, Any], session: AsyncSession
) -> None:
    async def said(at: datetime) -> list[tuple[Says, str]]:
        found = await statements.statements_at(session, site["id"], at)
        assert all(one.witness is WitnessKind.VISITOR for one in found)
        return [(one.says, one.detail["network"]) for one in found]

    await measure(app, site, HOME, 600.0)
    at = await session.scalar(text("SELECT received_at FROM visit_result"))
    assert at is not None
    assert await said(at) == [(Says.UP, "same")]
    assert await said(at + timedelta(seconds=1)) == []
    for address, rtt, age_ms in ((ELSEWHERE, 600.0, 0), (HOME, 600.0, 61_000), (HOME, 20.0, 0)):
        await session.execute(text("DELETE FROM visit_result"))
        await session.commit()
        await measure(app, site, address, rtt, age_ms=age_ms)
        at = await session.scalar(text("SELECT received_at FROM visit_result"))
        assert at is not None
        assert await said(at) == ([(Says.NOTHING, "other")] if address == ELSEWHERE else [])


async def test_figures_stay_when_results_are_deleted(
    cast: Cast, app: FastAPI, site: dict[str, Any], session: AsyncSession
) -> None:
    await measure(app, site, HOME, 600.0, 640.0)
    await session.execute(text("UPDATE visit_result SET at = '2026-01-31 15:30Z' WHERE seq = 0"))
    await session.execute(text("UPDATE visit_result SET at = '2026-01-31 16:30Z' WHERE seq = 1"))
    await figures.delete_old(session, utc_now(), retention_days=35)
    await session.commit()
    assert await session.scalar(text("SELECT count(*) FROM visit_result")) == 0

    async def rows(step: str) -> list[tuple[str, float]]:
        asked = f"/sites/{site['id']}/visitors?from=2026-01-01&to=2026-03-01&step={step}"
        answer = (await cast.ana.get(asked)).json()
        assert answer["total"] is None
        return [(row["start"][:13], row["same"]["rtt_p50_ms"]) for row in answer["series"]]

    assert await rows("hour") == [("2026-01-31T23", 600), ("2026-02-01T00", 640)]
    assert await rows("day") == [("2026-01-31T00", 600), ("2026-02-01T00", 640)]
    assert await rows("month") == [("2026-01-01T00", 600), ("2026-02-01T00", 640)]
