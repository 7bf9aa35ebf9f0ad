"""What is wrong with agents, as their own rows tell it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register
from tests.registry.test_lint import check, found

HEARD = text("""
    INSERT INTO device (site_id, heard_at, boot, seq, accepted, duplicates, rejected, clock_offset_s, dropped,
        last_rejection, last_rejected_at, two_agents_at)
    VALUES (:site, now(), 'k3f9', 7, 7, 0, 3, cast(:clock AS float), cast(:dropped AS int), cast(:rejection AS text),
        now() - cast(:rejected AS interval), now() - cast(:two AS interval))
""")
SOUND: dict[str, Any] = {"clock": 3.0, "dropped": 0, "rejection": None, "rejected": None, "two": None}


async def pushing(cast: Cast, session: AsyncSession, **said: Any) -> dict[str, Any]:
    """A site whose agent was heard just now, and what is known of it."""
    site = await register(cast, probe="push", host=None, technology="leo")
    async with session.begin():
        await session.execute(HEARD, SOUND | said | {"site": site["id"]})
    return site


async def test_a_site_that_should_report_and_never_did_is_found_after_a_day(cast: Cast, session: AsyncSession) -> None:
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
    await pushing(cast, session)
    (item,) = await check(cast.ana, "never_heard")
    assert (item["code"], item["severity"], item["detail"]) == (silent["code"], "warning", {"has_token": False})
    assert f"/sites/{silent['id']}/enrolment" in item["suggestion"]
    assert await found(cast.ben, "never_heard") == [elsewhere["code"]]
    assert await found(cast.sari, "never_seen") == [], "nobody looks there: it has no host to check"


@pytest.mark.parametrize(
    ("name", "wrong", "fine", "told"),
    [
        ("two_agents", {"two": timedelta(days=6)}, {"two": timedelta(days=8)}, "Two agents"),
        ("device_clock", {"clock": -86_400.0}, {"clock": 59.0}, "off by 86400 s"),
        (
            "readings_refused",
            {"rejection": "too_old", "rejected": timedelta(hours=1)},
            {"rejection": "too_old", "rejected": timedelta(days=2)},
            "3 readings of its agent were refused, the last one as too_old",
        ),
        ("readings_dropped", {"dropped": 41}, {"dropped": None}, "no room for 41 readings"),
    ],
)
async def test_what_an_agent_tells_of_itself_is_found(
    cast: Cast, session: AsyncSession, name: str, wrong: dict[str, Any], fine: dict[str, Any], told: str
) -> None:
    bad = await pushing(cast, session, **wrong)
    await pushing(cast, session, **fine)
    retired = await pushing(cast, session, **wrong)
    assert (await cast.sari.delete(f"/sites/{retired['id']}")).status_code == 204
    (item,) = await check(cast.ana, name)
    assert (item["code"], told in item["message"]) == (bad["code"], True)
    spoken = await cast.ana.get("/registry/checks", params={"check": name}, headers={"Accept-Language": "id"})
    assert "agen" in spoken.json()["items"][0]["message"] or "Jam perangkat" in spoken.json()["items"][0]["message"]
