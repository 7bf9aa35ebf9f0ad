"""Sites are under contracts by day: a site's `contract_id` is the short way, from today on."""

from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests import factories
from tests.conftest import Cast
from tests.factories import register
from tests.support.contracts import LONG_AGO, TODAY, assign_contract, assign_days, create_contract

YESTERDAY = TODAY - timedelta(days=1)
Stored = tuple[int, str, date, date | None]


async def stored(session: AsyncSession, site_id: int) -> list[Stored]:
    """Return the site's assignments: contract, role, from and to."""
    async with session.begin():
        rows = await session.execute(
            text(
                "SELECT contract_id, link_role, started_on, ended_on FROM site_contract "
                "WHERE site_id = :id AND withdrawn_at IS NULL ORDER BY link_role, started_on"
            ),
            {"id": site_id},
        )
        return [tuple(row) for row in rows]


async def test_contract_id_puts_a_site_under_a_contract_from_today_on(cast: Cast, session: AsyncSession) -> None:
    first, second = await create_contract(cast), await create_contract(cast, number="K-2")
    site = await register(cast)
    await assign_contract(session, site["id"], first["id"], LONG_AGO)
    url = f"/sites/{site['id']}"
    assert (await cast.ana.patch(url, {"contract_id": second["id"]})).json()["contract_id"] == second["id"]
    under_both: list[Stored] = [
        (first["id"], "primary", LONG_AGO, TODAY),
        (second["id"], "primary", TODAY, None),
    ]
    assert await stored(session, site["id"]) == under_both
    assert (await cast.ana.patch(url, {"contract_id": second["id"], "notes": "x"})).status_code == 200
    assert await stored(session, site["id"]) == under_both
    assert (await cast.ana.patch(url, {"contract_id": None})).json()["contract_id"] is None
    assert await stored(session, site["id"]) == under_both[:1], "what began today never was"
    assert (await cast.ana.get(url)).json()["contract_id"] is None


async def test_a_new_site_is_under_its_contract_from_today_in_its_own_role(cast: Cast, session: AsyncSession) -> None:
    contract = await create_contract(cast)
    site = await register(cast, contract_id=contract["id"], link_role="backup")
    assert site["contract_id"] == contract["id"]
    assert await stored(session, site["id"]) == [(contract["id"], "backup", TODAY, None)]


async def test_the_short_way_replaces_the_contract_that_it_shows_and_ends_before_the_next(
    cast: Cast, session: AsyncSession
) -> None:
    first, second, third = [await create_contract(cast, number=f"K-{n}") for n in range(3)]
    site, later = await register(cast), TODAY + timedelta(days=30)
    await assign_days(session, site["id"], first["id"], LONG_AGO, later, role="backup")
    await assign_days(session, site["id"], third["id"], later, role="backup")
    url = f"/sites/{site['id']}"
    assert (await cast.ana.patch(url, {"contract_id": second["id"]})).json()["contract_id"] == second["id"]
    assert await stored(session, site["id"]) == [
        (first["id"], "backup", LONG_AGO, TODAY),
        (second["id"], "backup", TODAY, later),
        (third["id"], "backup", later, None),
    ]


async def test_what_covers_a_site_from_today_on_must_suit_its_provider_and_kind(
    cast: Cast, session: AsyncSession
) -> None:
    now, later = await create_contract(cast), await create_contract(cast, number="K-2")
    site = await register(cast)
    await assign_days(session, site["id"], now["id"], LONG_AGO, TODAY + timedelta(days=30))
    url = f"/sites/{site['id']}"
    for change, field, code in (
        ({"provider": "iconplus"}, "contract_id", "other_provider"),
        ({"kind": "node"}, "contract_id", "node_contract"),
    ):
        (fault,) = (await cast.sari.patch(url, change)).json()["errors"]
        assert (fault["field"], fault["code"]) == (field, code)
        assert "null" in fault["suggestion"]
    await assign_days(session, site["id"], later["id"], TODAY + timedelta(days=30))
    for change, field in (({"provider": "iconplus"}, "provider"), ({"kind": "node"}, "kind")):
        (fault,) = (await cast.sari.patch(url, {**change, "contract_id": None})).json()["errors"]
        assert (fault["field"], fault["code"]) == (field, "under_contract")
        assert f"/contracts/{later['id']}/sites/" in fault["suggestion"]
    assert (await cast.sari.patch(url, {"notes": "x", "provider": "telkom-wms"})).status_code == 200


async def test_a_contract_that_is_not_valid_today_is_refused_with_its_day(cast: Cast) -> None:
    over = await create_contract(cast, valid_to=TODAY.isoformat())
    coming = await create_contract(cast, number="K-2", valid_from=(TODAY + timedelta(days=9)).isoformat())
    site = await register(cast)
    for contract, code in ((over, "after_contract"), (coming, "before_contract")):
        answer = await cast.ana.patch(f"/sites/{site['id']}", {"contract_id": contract["id"]})
        (fault,) = answer.json()["errors"]
        assert (answer.status_code, fault["field"], fault["code"]) == (422, "contract_id", code)
    node = {"kind": "node", "host": "198.51.100.9", "contract_id": (await create_contract(cast, number="K-3"))["id"]}
    (fault,) = (await cast.sari.post("/sites", factories.site(**node))).json()["errors"]
    assert (fault["field"], fault["code"]) == ("contract_id", "node_contract")


async def test_what_ended_with_its_contract_makes_room(cast: Cast, session: AsyncSession) -> None:
    ended = await create_contract(cast, valid_to=YESTERDAY.isoformat())
    following = await create_contract(cast, number="K-2")
    site = await register(cast)
    await assign_contract(session, site["id"], ended["id"], LONG_AGO)
    answer = await cast.ana.patch(f"/sites/{site['id']}", {"contract_id": following["id"]})
    assert answer.status_code == 200, answer.text
    assert await stored(session, site["id"]) == [
        (ended["id"], "primary", LONG_AGO, YESTERDAY),
        (following["id"], "primary", TODAY, None),
    ]
