"""A visitor's download and upload: inside the site's data budget, once an hour, timed by this service as well."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA
from app.core.errors import TooManyRequests
from app.profiles import Profile, Technology
from app.throughput.budget import MB
from app.visitors import transfers
from app.visitors.models import VisitNetwork
from app.visitors.speed_offer import SpeedOffer, SpeedRefusal, decide, left_bytes, share_bytes, wire_bytes
from app.visitors.visited_sites import SpentBytes, VisitedSite
from tests.conftest import Cast
from tests.factories import register
from tests.support.visitors import ELSEWHERE, HOME, Visitor, add_network, result

NOON = datetime(2026, 11, 15, 12, tzinfo=WITA)
PROFILE = Profile(
    interval_s=60,
    timeout_ms=2000,
    loss_pct=15,
    rtt_ms=150,
    speed_monthly_mb=1000,
    speed_hours=(6, 22),
    visit_max_mb=5,
    visit_share_pct=10,
)


def visited(tests: int = 0, visits: int = 0, *, tested: bool = True) -> VisitedSite:
    spent = SpentBytes(tests, 0, 0, visits)
    names = ("64.02.05.2003-01", "Kantor Desa", "64.02.05.2003")
    return VisitedSite(1, *names, Technology.FIBER, False, tested, None, frozenset(), spent)


@pytest.fixture
async def site(cast: Cast, session: AsyncSession) -> dict[str, Any]:
    created = await register(cast, probe="push", host=None)
    await add_network(session, created["id"])
    return created


async def traffic(session: AsyncSession) -> tuple[int, int]:
    query = "SELECT sum(bytes)::bigint AS bytes, sum(reserved_bytes)::bigint AS reserved FROM visit_traffic"
    row = (await session.execute(text(query))).one()
    return row.bytes or 0, row.reserved or 0


def test_a_test_is_offered_inside_hours_network_and_budget_only() -> None:
    same = VisitNetwork.SAME
    assert isinstance(decide(visited(), PROFILE, same, NOON), SpeedOffer)
    assert isinstance(decide(visited(), PROFILE, VisitNetwork.UNKNOWN, NOON), SpeedOffer)
    assert decide(visited(), PROFILE, VisitNetwork.OTHER, NOON) is SpeedRefusal.OTHER_NETWORK
    assert decide(visited(), PROFILE, same, NOON.replace(hour=23)) is SpeedRefusal.OUTSIDE_HOURS
    assert decide(visited(tests=997 * MB), PROFILE, same, NOON) is SpeedRefusal.OVER_BUDGET
    assert decide(visited(visits=99 * MB), PROFILE, same, NOON) is SpeedRefusal.OVER_BUDGET
    assert isinstance(decide(visited(visits=99 * MB, tested=False), PROFILE, same, NOON), SpeedOffer)
    assert decide(visited(), PROFILE.model_copy(update={"visit_max_mb": 0}), same, NOON) is SpeedRefusal.OFF


def test_a_months_share_cannot_be_spent_on_its_first_day() -> None:
    first = NOON.replace(day=1, hour=6)
    assert left_bytes(visited(), PROFILE, first.replace(hour=0)) == 10 * MB
    assert decide(visited(visits=7 * MB), PROFILE, VisitNetwork.SAME, first) is SpeedRefusal.OVER_BUDGET
    assert left_bytes(visited(), PROFILE, NOON.replace(day=30)) == 100 * MB


@given(st.integers(0, 2_000 * MB), st.integers(0, 2_000 * MB), st.integers(0, 30 * 24 - 1), st.booleans())
def test_what_is_left_never_exceeds_the_share_nor_the_budget(tests: int, visits: int, hour: int, tested: bool) -> None:
    at = NOON.replace(day=1, hour=0) + timedelta(hours=hour)
    left = left_bytes(visited(tests, visits, tested=tested), PROFILE, at)
    assert 0 <= left <= max(0, share_bytes(PROFILE, None, tested=tested) - visits)
    assert left + tests + visits <= 1000 * MB or left == 0


async def test_a_download_is_reserved_settled_used_once_and_shown(
    cast: Cast, app: FastAPI, site: dict[str, Any], session: AsyncSession
) -> None:
    visitor = Visitor(app, HOME)
    opened = await visitor.open(site["code"])
    asked = {"params": {"visit": opened["visit"]}}
    download = await visitor.ask("GET", "/down", **asked)
    assert (download.status_code, len(download.content)) == (200, opened["speed"]["down_bytes"])
    assert (download.headers["content-encoding"], download.headers["cache-control"]) == (
        "identity",
        "no-store, no-transform",
    )
    assert await traffic(session) == (wire_bytes(len(download.content)), 0)
    again = await visitor.ask("GET", "/down", **asked)
    assert (again.status_code, again.json()["reason"]) == (409, "used")
    upload = await visitor.ask("POST", "/up", content=b"x" * 500_000, **asked)
    assert (upload.status_code, upload.json()["bytes"]) == (200, 500_000)
    more = await Visitor(app, HOME).open(site["code"])
    too_much = await visitor.ask(
        "POST", "/up", content=b"x" * (more["speed"]["up_bytes"] + 1), params={"visit": more["visit"]}
    )
    assert too_much.status_code == 413
    spent = (await traffic(session))[0]
    budget = (await cast.ana.get(f"/sites/{site['id']}/throughput")).json()["budget"]
    assert (budget["visits_mb"], budget["spent_mb"]) == (round(spent / MB, 3), round(spent / MB, 3))
    (listed,) = (await cast.ana.get("/throughput/budgets")).json()["items"]
    assert listed["visits_mb"] == round(spent / MB, 3)


async def test_a_test_from_elsewhere_or_beyond_the_limits_is_refused_before_its_first_byte(
    cast: Cast, app: FastAPI, site: dict[str, Any], session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = (await Visitor(app, HOME).open(site["code"]))["visit"]
    stolen = await Visitor(app, ELSEWHERE).ask("GET", "/down", params={"visit": visit})
    assert (stolen.status_code, stolen.json()["reason"]) == (409, "other_network")
    app.state.visits.limits.speed_tests = 8
    busy = await Visitor(app, HOME).ask("GET", "/down", params={"visit": visit})
    assert busy.status_code == 429
    app.state.visits.limits.speed_tests = 0
    monkeypatch.setattr(transfers, "MOST_OF_NETWORK", 0)
    often = await Visitor(app, HOME).ask("POST", "/up", params={"visit": visit}, content=b"x")
    assert (often.status_code, often.json()["reason"]) == (409, "used")
    assert await traffic(session) == (0, 0)
    assert app.state.visits.limits.speed_tests == 0


async def test_who_asks_for_tests_again_and_again_takes_nobodys_place(
    cast: Cast, app: FastAPI, site: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = (await Visitor(app, HOME).open(site["code"]))["visit"]
    limits, stranger = app.state.visits.limits, Visitor(app, ELSEWHERE)
    monkeypatch.setattr(transfers, "reserve", None)  # not even asked
    limits.speed_tests = 8
    refused = await stranger.ask("GET", "/down", params={"visit": visit})
    assert (refused.status_code, refused.json()["reason"]) == (409, "other_network")
    for _ in range(300):
        with suppress(TooManyRequests):
            limits.charge_visit(ELSEWHERE)
    assert (await stranger.ask("GET", "/down", params={"visit": visit})).status_code == 429
    limits.speed_tests = 0


async def test_a_rate_counts_only_where_this_service_served_and_timed_it(
    cast: Cast, app: FastAPI, site: dict[str, Any], session: AsyncSession
) -> None:
    visitor = Visitor(app, HOME)
    visit = (await visitor.open(site["code"]))["visit"]
    await visitor.ask("GET", "/down", params={"visit": visit})
    served = "UPDATE visit_transfer SET bytes = 5000000, ms = 4000, mbps = 11"
    async with session.begin():
        await session.execute(text(served))
    said = {"bytes": 5_000_000, "ms": 4_000}
    for seq, down in enumerate(({"bytes": 9_000_000, "ms": 4_000}, {"bytes": 5_000_000, "ms": 400})):
        await visitor.send(visit, result(seq, down=down))
        async with session.begin():
            await session.execute(text("UPDATE visit_transfer SET seq = NULL"))
    await visitor.send(visit, result(2, down=said), result(3, down=said), result(4, up=said))
    rows = await session.execute(text("SELECT seq, flaw, down_mbps FROM visit_result ORDER BY seq"))
    assert [tuple(row) for row in rows] == [
        (0, "more_than_served", None),
        (1, "faster_than_served", None),
        (2, None, 10.0),
        (3, "not_served", None),
        (4, "not_served", None),
    ]
