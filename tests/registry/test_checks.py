"""The registry's checks: each finding explained and counted, within the caller's scope."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast, Person
from tests.factories import BERAU_VILLAGE, VILLAGE, register
from tests.support.contracts import LONG_AGO, TODAY, assign_days, create_contract
from tests.support.registry_checks import list_findings, sites_found

OTHER_VILLAGE = "64.02.05.2004"


async def test_a_host_of_several_sites_is_found_whatever_their_probe_or_lifecycle(cast: Cast) -> None:
    first = await register(cast)
    second = await register(cast, probe="tcp", port=443)
    third = await register(cast, lifecycle="planned")
    await register(cast, lifecycle="retired")
    await register(cast, host="198.51.100.21")
    items = await list_findings(cast.ana, "duplicate_host")
    assert [item["code"] for item in items] == [first["code"], second["code"], third["code"]]
    assert items[0]["detail"] == {
        "host": "198.51.100.20",
        "sites": 3,
        "others": [second["code"], third["code"]],
    }
    assert items[0]["severity"] == "warning"
    assert second["code"] in items[0]["message"]


async def test_sites_out_of_scope_are_only_counted_in_a_finding(cast: Cast) -> None:
    here = await register(cast)
    there = await register(cast, village_code=BERAU_VILLAGE, probe="tcp", port=443)
    (item,) = await list_findings(cast.ben, "duplicate_host")
    assert (item["code"], item["detail"]["others"], item["detail"]["sites"]) == (there["code"], [], 2)
    assert item["message"].endswith(": +1")
    assert here["code"] not in str(item)


async def test_the_same_position_is_found_but_not_of_a_backup_beside_its_primary(cast: Cast) -> None:
    spot = {"latitude": -0.36, "longitude": 117.44}
    first = await register(cast, **spot)
    await register(cast, host="198.51.100.21", link_role="backup", **spot)
    assert await sites_found(cast.ana, "duplicate_coordinates") == []
    await register(cast, host="198.51.100.22", kind="node", **spot)
    assert await sites_found(cast.ana, "duplicate_coordinates") == []
    elsewhere = await register(cast, host="198.51.100.23", village_code=OTHER_VILLAGE, **spot)
    items = await list_findings(cast.ana, "duplicate_coordinates")
    assert {first["code"], elsewhere["code"]} <= {item["code"] for item in items}
    assert (len(items), items[0]["severity"], items[0]["detail"]["sites"]) == (3, "hint", 3)


@pytest.mark.parametrize(("offset_km", "far"), [(24.9, False), (25.1, True), (60.0, True)])
async def test_a_position_over_25_km_from_the_village_is_a_hint(
    cast: Cast, session: AsyncSession, offset_km: float, far: bool
) -> None:
    async with session.begin():
        centroid = (
            await session.execute(text("SELECT latitude, longitude FROM region WHERE code = :code"), {"code": VILLAGE})
        ).one()
    made = await register(cast, latitude=centroid.latitude + offset_km / 111.195, longitude=centroid.longitude)
    await register(cast, host="198.51.100.21")
    items = await list_findings(cast.ana, "far_from_village")
    assert [item["code"] for item in items] == [made["code"]] * far
    if far:
        assert items[0]["detail"]["distance_km"] == pytest.approx(offset_km, abs=0.1)


async def test_a_site_active_for_a_week_without_an_answer_is_found(cast: Cast, session: AsyncSession) -> None:
    old, seen, fresh, planned = [await register(cast, host=f"198.51.100.{n}") for n in range(1, 5)]
    async with session.begin():
        ids = {"ids": [old["id"], seen["id"], planned["id"]], "seen": seen["id"], "planned": planned["id"]}
        await session.execute(
            text("UPDATE site SET addressed_at = now() - interval '8 days' WHERE id = ANY(:ids)"), ids
        )
        await session.execute(text("UPDATE site_status SET commissioned_at = now() WHERE site_id = :seen"), ids)
        await session.execute(
            text(
                "INSERT INTO site_configuration (site_id, started_at, ended_at, lifecycle, technology, provider_id, "
                "addressed_at, village_code) SELECT site_id, now() - interval '8 days', now() - interval '6 days', "
                "'planned', technology, provider_id, addressed_at, village_code FROM site_configuration "
                "WHERE site_id = :planned"
            ),
            ids,
        )
    assert await sites_found(cast.ana, "never_seen") == [old["code"]]
    assert fresh["code"] != old["code"]


async def test_access_points_without_a_contract_and_unpingable_ones_are_found(cast: Cast) -> None:
    fiber = await register(cast)
    starlink = await register(cast, technology="leo", host="198.51.100.21")
    await register(cast, technology="cellular", probe="push", host=None, lifecycle="planned")
    await register(cast, kind="node", host="198.51.100.22")
    assert await sites_found(cast.ana, "no_contract") == [fiber["code"], starlink["code"]]
    assert await sites_found(cast.ana, "unpingable") == [starlink["code"]]


async def test_sites_under_a_contract_that_is_over_or_not_their_providers_are_found(
    cast: Cast, session: AsyncSession
) -> None:
    over = await create_contract(cast, valid_to=TODAY.isoformat())
    own = await create_contract(cast, number="K-2")
    theirs = await create_contract(cast, number="K-3", provider="iconplus")
    ended, covered, wrong, was = [await register(cast, host=f"198.51.100.{n}") for n in range(1, 5)]
    await assign_days(session, ended["id"], over["id"], LONG_AGO)
    await assign_days(session, covered["id"], own["id"], LONG_AGO)
    await assign_days(session, wrong["id"], theirs["id"], LONG_AGO)
    await assign_days(session, was["id"], theirs["id"], LONG_AGO, TODAY)
    assert await sites_found(cast.ana, "no_contract") == [ended["code"], was["code"]]
    (found,) = await list_findings(cast.ana, "other_providers_contract")
    assert (found["code"], found["severity"]) == (wrong["code"], "warning")
    assert "K-3" in found["message"]
    assert "iconplus" in found["message"]
    assert f"/contracts/{theirs['id']}/sites/" in found["suggestion"]


async def test_a_site_present_at_times_under_a_contract_is_found(cast: Cast, session: AsyncSession) -> None:
    paid, always, _ = [
        await register(cast, probe="push", host=None, presence=each) for each in ("sometimes", "always", "sometimes")
    ]
    contract = await create_contract(cast)
    for site in (paid, always):
        await assign_days(session, site["id"], contract["id"], LONG_AGO)
    (found,) = await list_findings(cast.ana, "present_at_times")
    assert (found["code"], found["severity"]) == (paid["code"], "warning")
    assert contract["number"] in found["message"]


async def test_a_village_without_a_site_is_found_also_when_its_only_one_is_retired(cast: Cast) -> None:
    async def lacking(person: Person, **params: str) -> set[str]:
        return {item["village_code"] for item in await list_findings(person, "village_without_site", **params)}

    everywhere = await lacking(cast.ana)
    assert VILLAGE in everywhere
    assert all(code.startswith("64.02.") for code in everywhere)
    made = await register(cast)
    assert everywhere - await lacking(cast.ana) == {VILLAGE}
    assert (await cast.ana.delete(f"/sites/{made['id']}")).status_code == 204
    assert await lacking(cast.ana, region="64.02.05") == {code for code in everywhere if code[:8] == "64.02.05"}
    assert await lacking(cast.icon) == set()


async def test_findings_are_paginated_and_counted_over_all_pages(cast: Cast) -> None:
    await register(cast, technology="leo")
    await register(cast, technology="leo", probe="tcp", port=443)
    whole = (await cast.ana.get("/registry/checks", params={"region": "64.02.05", "limit": "1000"})).json()
    paged: list[Any] = []
    cursor = None
    while cursor or not paged:
        params = {"region": "64.02.05", "limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await cast.ana.get("/registry/checks", params=params)).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        assert page["counts"] == whole["counts"]
    assert paged == whole["items"]
    severities = [item["severity"] for item in paged]
    assert severities == sorted(severities, reverse=True)
    assert len(set(severities)) == 2
    assert sum(whole["counts"].values()) == len(paged)
    assert whole["counts"]["duplicate_host"] == 2
    assert whole["counts"]["far_from_village"] == 0
    (district,) = whole["districts"]
    assert (district["code"], district["name"]) == ("64.02", "Kabupaten Kutai Kartanegara")
    assert district["counts"] == {check: count for check, count in whole["counts"].items() if count}


async def test_nobody_sees_findings_out_of_scope(cast: Cast) -> None:
    await register(cast)
    assert await sites_found(cast.ben, "no_contract") == []
    assert await sites_found(cast.icon, "no_contract") == []
    assert await sites_found(cast.vera, "no_contract") != []
    for params, status in (
        ({"region": "64.02"}, 403),
        ({"check": "everything"}, 422),
        ({"cursor": "%%"}, 422),
        ({"region": "99"}, 422),
    ):
        assert (await cast.ben.get("/registry/checks", params=params)).status_code == status
    assert (await cast.stranger.get("/registry/checks")).status_code == 401


async def test_findings_are_in_the_caller_s_language(cast: Cast) -> None:
    await register(cast)
    answer = await cast.ana.get("/registry/checks", params={"check": "no_contract"}, headers={"Accept-Language": "id"})
    assert answer.json()["items"][0]["message"].startswith("Belum ada kontrak")
