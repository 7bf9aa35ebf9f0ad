"""Who said what about a second: each witness's word, whether it counts, and what follows where two differ."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements import near_looks
from app.postgres.engine import Sessions, transaction
from tests.conftest import Cast, Person
from tests.support.pushing_sites import Field, register_field


@pytest.fixture
async def field(sessions: Sessions, cast: Cast, session: AsyncSession, app: FastAPI) -> Field:
    return await register_field(sessions, cast, session, app)


async def evidence(field: Field, site: int, second: float, *, person: Person | None = None) -> dict[str, Any]:
    params = {"at": field.at(second).isoformat()}
    answer = await (person or field.cast.sari).get(f"/sites/{site}/evidence", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def said(found: dict[str, Any]) -> list[tuple[str, str, bool, bool]]:
    return [(one["witness"], one["says"], one["proves"], one["counts"]) for one in found["statements"]]


async def test_a_devices_reports_say_up_and_its_missed_ones_down(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 480, sites=others)
    found = await evidence(field, silent, 150)
    assert (found["ledger"]["state"], found["disagreements"]) == ("up", [])
    assert said(found) == [("agent", "up", True, True)]
    (report,) = found["statements"]
    assert (report["detail"], report["may_prove"]) == (
        {"sent": 3, "received": 3, "rtt_ms": 20.0},
        ["up", "down", "cause"],
    )
    assert (field.second(report["started_at"]), field.second(report["ended_at"])) == (120, 180)
    found = await evidence(field, silent, 430)
    assert (found["ledger"]["state"], found["ledger"]["counts_as"]) == ("down", "down")
    assert [one for one in said(found) if one[1] == "down"] == [("agent", "down", True, True)]
    missed = next(one for one in found["statements"] if one["says"] == "down")
    assert missed["detail"] == {"missed_report": True}, "the sites that were heard meanwhile are not named"
    await field.live(495, 495, sites=others)
    late = await evidence(field, silent, 1200)
    assert (late["statements"], late["ledger"]["state"]) == ([], "unknown")


async def test_what_is_reported_later_is_a_claim_that_proves_nothing(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 900, sites=others)
    await field.send(silent, 960, [(float(second), 3) for second in range(360, 961, 60)])
    await field.live(960, 960, sites=others)
    found = await evidence(field, silent, 500)
    claim = found["statements"][-1]
    assert (claim["witness"], claim["says"], claim["is_claim"], claim["proves"], claim["counts"]) == (
        "agent",
        "up",
        True,
        False,
        False,
    )
    assert field.second(claim["heard_at"]) == 960
    assert ("agent", "down", True, True) in said(found), "what was proven then still stands in the ledger"
    assert "36.70" not in str(found)


async def test_what_the_device_saw_near_itself_stands_in_its_own_statement(field: Field) -> None:
    site, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.send(site, 420, [(310, 0), (370, 0), (420, 3)])
    await field.live(420, 420, sites=others)
    async with transaction(field.sessions) as session:
        looks = [{"site_id": site, "slot": field.at(370).isoformat(), "lost": True, "lan": True, "terminal": False}]
        await near_looks.record(session, looks)
    found = await evidence(field, site, 375)
    lost = next(one for one in found["statements"] if one["says"] == "down")
    assert (lost["detail"]["lan"], lost["detail"]["terminal"]) == (True, False)


async def test_only_whoever_sees_the_site_sees_its_evidence(field: Field) -> None:
    site = field.ids[0]
    await field.live(0, 60, sites=field.ids)
    assert said(await evidence(field, site, 30, person=field.cast.vera)) == [("agent", "up", True, True)]
    for person, status in ((field.cast.ben, 404), (field.cast.icon, 404), (field.cast.stranger, 401)):
        assert (await person.get(f"/sites/{site}/evidence")).status_code == status
    for at, code in (("besok", "bad_time"), ((field.at(0) + timedelta(days=2)).isoformat(), "in_the_future")):
        answer = await field.cast.sari.get(f"/sites/{site}/evidence", params={"at": at})
        assert answer.json()["errors"][0]["code"] == code
