"""Who said what about a second: each witness's word, whether it counts, and what follows where two differ."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements import near_looks
from app.postgres.engine import Sessions, transaction
from app.telemetry.models import TelemetryKind, TelemetryStretch
from app.visitors.models import VisitNetwork, VisitResult
from app.witnesses.kinds import WitnessKind
from probes.telemetry import LinkState
from tests.conftest import Cast, Person
from tests.support.console import Visitor
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
    assert said(found) == [("agent", "down", True, True)]
    (missed,) = found["statements"]
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


async def test_a_provider_that_says_up_through_an_outage_leaves_it_and_is_told(field: Field, officer: Visitor) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 480, sites=others)
    provider = {"witness": WitnessKind.PROVIDER, "kind": TelemetryKind.STARLINK_ACCOUNT, "state": LinkState.UP}
    async with transaction(field.sessions) as session:
        await session.execute(
            insert(TelemetryStretch).values(
                **provider,
                site_id=silent,
                started_at=field.at(0),
                seen_at=field.at(600),
                samples=40,
                widest_gap_s=15,
                heard_at=field.at(1),
            )
        )
    found = await evidence(field, silent, 430)
    assert (found["ledger"]["state"], found["ledger"]["counts_as"]) == ("down", "down")
    assert ("provider", "up", False, False) in said(found)
    (difference,) = found["disagreements"]
    assert [difference[name] for name in ("up", "down", "believed", "is_checked")] == [
        "provider",
        "agent",
        "ledger",
        True,
    ]
    at = quote(field.at(430).isoformat())
    page = await officer.get(f"/console/sites/{silent}/why?at={at}")
    assert "Siapa berkata apa" in page.text
    assert "Sistem penyedia: normal; perangkat di lokasi: putus. Pihak penyedia berkata lain" in page.text
    assert "laporan yang ditunggu tidak datang" in page.text


async def test_a_visitor_in_an_outage_stands_beside_it_and_never_against_a_site(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 480, sites=others)
    async with transaction(field.sessions) as session:
        for seq, network in enumerate((VisitNetwork.SAME, VisitNetwork.OTHER)):
            moment = {"at": field.at(430), "received_at": field.at(430), "late": False}
            result = {"visitor": b"0" * 16, "seq": seq, "network": network, "samples": 5, "lost": 0, "offline_s": 0}
            await session.execute(insert(VisitResult).values(site_id=silent, **moment, **result))
    found = await evidence(field, silent, 430)
    assert (found["ledger"]["state"], found["ledger"]["counts_as"]) == ("down", "down")
    assert said(found)[1:] == [("visitor", "nothing", False, False), ("visitor", "up", True, False)]
    assert [(one["up"], one["believed"], one["is_checked"]) for one in found["disagreements"]] == [
        ("visitor", "ledger", False)
    ]
    assert len((await evidence(field, silent, 432))["statements"]) == 1, "it speaks of its second alone"


async def test_only_whoever_sees_the_site_sees_its_evidence(field: Field) -> None:
    site = field.ids[0]
    await field.live(0, 60, sites=field.ids)
    assert said(await evidence(field, site, 30, person=field.cast.vera)) == [("agent", "up", True, True)]
    for person, status in ((field.cast.ben, 404), (field.cast.icon, 404), (field.cast.stranger, 401)):
        assert (await person.get(f"/sites/{site}/evidence")).status_code == status
    for at, code in (("besok", "bad_time"), ((field.at(0) + timedelta(days=2)).isoformat(), "in_the_future")):
        answer = await field.cast.sari.get(f"/sites/{site}/evidence", params={"at": at})
        assert answer.json()["errors"][0]["code"] == code
