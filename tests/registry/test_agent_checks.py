"""Checks of the agents of push sites."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register
from tests.support.registry_checks import list_findings, sites_found

INSERT_DEVICE = text("""
    INSERT INTO device (site_id, heard_at, told_s, boot, seq, accepted, duplicates, rejected, clock_offset_s, dropped,
        last_rejection, last_rejected_at, two_agents_at, unheard_boot_at, network_changed_at, two_networks_at)
    VALUES (:site, now(), 60, 'k3f9', 7, 7, 0, 3, cast(:clock AS float), cast(:dropped AS int),
        cast(:rejection AS text), now() - cast(:rejected AS interval), now() - cast(:two AS interval),
        now() - cast(:unheard AS interval), now() - cast(:changed AS interval), now() - cast(:networks AS interval))
""")
SOUND: dict[str, Any] = {
    "clock": 3.0,
    "dropped": 0,
    **dict.fromkeys(("rejection", "rejected", "two", "unheard", "changed", "networks")),
}


async def register_push_site(cast: Cast, session: AsyncSession, **facts: Any) -> dict[str, Any]:
    """Register a push site whose agent has just reported, with `facts` in its device row."""
    site = await register(cast, probe="push", host=None, technology="leo")
    async with session.begin():
        await session.execute(INSERT_DEVICE, SOUND | facts | {"site": site["id"]})
    return site


async def test_a_push_site_that_has_never_reported_is_found_after_a_day(cast: Cast, session: AsyncSession) -> None:
    async def aged(**changes: Any) -> dict[str, Any]:
        site = await register(cast, probe="push", host=None, technology="leo", **changes)
        async with session.begin():
            await session.execute(
                text("UPDATE site SET addressed_at = now() - interval '8 days' WHERE id = :id"), {"id": site["id"]}
            )
        return site

    silent, elsewhere = await aged(), await aged(village_code=BERAU_VILLAGE)
    await aged(lifecycle="planned")
    await register(cast, probe="push", host=None, technology="leo")
    await register_push_site(cast, session)
    (item,) = await list_findings(cast.ana, "never_heard")
    assert (item["code"], item["severity"], item["detail"]) == (silent["code"], "warning", {"has_token": False})
    assert f"/sites/{silent['id']}/enrolment" in item["suggestion"]
    assert await sites_found(cast.ben, "never_heard") == [elsewhere["code"]]
    assert await sites_found(cast.sari, "never_seen") == [], "a push site has no host to check"


@pytest.mark.parametrize(
    ("check", "wrong", "fine", "message"),
    [
        ("two_agents", {"two": timedelta(days=6)}, {"two": timedelta(days=8)}, "Two agents"),
        ("device_clock", {"clock": -86_400.0}, {"clock": 59.0}, "off by 86400 s"),
        (
            "readings_refused",
            {"rejection": "too_old", "rejected": timedelta(hours=1)},
            {"rejection": "too_old", "rejected": timedelta(days=2)},
            "3 readings of its agent were rejected, the last one as too_old",
        ),
        ("readings_dropped", {"dropped": 41}, {"dropped": None}, "dropped 41 readings"),
        ("unheard_boot", {"unheard": timedelta(days=6)}, {"unheard": timedelta(days=8)}, "never been heard of"),
        ("network_changed", {"changed": timedelta(days=6)}, {"changed": timedelta(days=8)}, "network that none"),
        ("two_networks", {"networks": timedelta(days=6)}, {"networks": timedelta(days=8)}, "two networks"),
    ],
)
async def test_problems_that_an_agent_reports_are_found(
    cast: Cast, session: AsyncSession, check: str, wrong: dict[str, Any], fine: dict[str, Any], message: str
) -> None:
    bad = await register_push_site(cast, session, **wrong)
    await register_push_site(cast, session, **fine)
    retired = await register_push_site(cast, session, **wrong)
    assert (await cast.sari.delete(f"/sites/{retired['id']}")).status_code == 204
    (item,) = await list_findings(cast.ana, check)
    assert (item["code"], message in item["message"]) == (bad["code"], True)
    indonesian = await cast.ana.get("/registry/checks", params={"check": check}, headers={"Accept-Language": "id"})
    said = indonesian.json()["items"][0]["message"]
    assert any(word in said for word in ("agen", "Agen", "Jam perangkat", "Kiriman")), said


async def test_a_device_that_only_holds_its_stream_is_found(cast: Cast, session: AsyncSession) -> None:
    site = await register_push_site(cast, session)
    spans = "INSERT INTO stream_span SELECT :id, now() - interval '9 days', now(), 30"
    async with session.begin():
        await session.execute(text(spans), {"id": site["id"]})
    assert await list_findings(cast.ana, "only_streaming") == []
    async with session.begin():
        await session.execute(text("UPDATE device SET heard_at = now() - interval '49 hours'"))
    (item,) = await list_findings(cast.ana, "only_streaming")
    assert (item["code"], item["detail"]) == (site["code"], {"hours": 49})
    async with session.begin():
        await session.execute(text("UPDATE stream_span SET ended_at = now() - interval '2 hours'"))
    assert await list_findings(cast.ana, "only_streaming") == []
