"""The ranking: within each technology, only where enough was measured, within the caller's scope."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.site_histories import day, site_since
from tests.support.uptime import count, get


async def rank(cast: Cast, person: str = "sari", **params: Any) -> Any:
    return await get(getattr(cast, person), "/ranking", **{"from": day(2), "to": day(0), **params})


async def five_sites(session: AsyncSession, cast: Cast) -> list[int]:
    """Fibre: 0 down for an hour, 1 for two, 2 (in Berau) for one; 3 unseen for most; 4 is the only satellite."""
    return [
        await site_since(session, cast, day(4), (day(2, 3), "down"), (day(2, 4), "up")),
        await site_since(session, cast, day(4), (day(2, 3), "down"), (day(2, 5), "up"), provider="iconplus"),
        await site_since(session, cast, day(4), (day(1, 3), "down"), (day(1, 4), "up"), village_code=BERAU_VILLAGE),
        await site_since(session, cast, day(4), (day(2, 5), "unknown"), (day(1, 23), "up")),
        await site_since(session, cast, day(4), (day(2, 3), "down"), (day(1, 4), "up"), technology="geo"),
    ]


async def test_sites_are_ranked_within_their_technology_and_unmeasured_ones_not_at_all(
    session: AsyncSession, cast: Cast
) -> None:
    sites = await five_sites(session, cast)
    for counted in (False, True):
        if counted:
            await count(session)
        answer = await rank(cast, by="site")
        shown = [(item["id"], item["technology"], item["rank"]) for item in answer["items"]]
        assert shown == [
            (sites[0], "fiber", 1),
            (sites[2], "fiber", 1),
            (sites[1], "fiber", 3),
            (sites[4], "geo", 1),
        ]
        assert [(item["id"], item["reason"]) for item in answer["unranked"]] == [(sites[3], "low_coverage")]
        best = answer["items"][0]
        assert (best["uptime_pct"], best["coverage_pct"], best["outages"]) == (97.916, 100.0, 1)
        assert (best["longest_outage_s"], best["down_s"], best["sites"]) == (3600, 3600, 1)
    low = await rank(cast, by="site", min_coverage_pct=5, technology="fiber", order="worst")
    assert [item["id"] for item in low["items"]] == [sites[1], sites[0], sites[2], sites[3]]
    assert low["unranked"] == []


async def test_pages_of_a_ranking_follow_each_other(session: AsyncSession, cast: Cast) -> None:
    await five_sites(session, cast)
    whole = await rank(cast, by="site")
    first = await rank(cast, by="site", limit=3)
    second = await get(cast.sari, "/ranking", by="site", limit=3, cursor=first["next_cursor"])
    assert first["items"] + second["items"] == whole["items"]
    assert (first["unranked"], second["unranked"], second["next_cursor"]) == (whole["unranked"], [], None)


async def test_regions_and_providers_merge_seconds(session: AsyncSession, cast: Cast) -> None:
    await five_sites(session, cast)
    for counted in (False, True):
        if counted:
            await count(session)
        fiber: dict[str, Any] = {"technology": "fiber", "min_coverage_pct": 0}
        ranked = [(i["code"], i["sites"], i["down_s"]) for i in (await rank(cast, by="region", **fiber))["items"]]
        assert ranked == [("64.03", 1, 3600), ("64.02", 3, 10800)]
        ranked = [(i["code"], i["sites"], i["down_s"]) for i in (await rank(cast, by="provider", **fiber))["items"]]
        assert ranked == [("telkom-wms", 3, 7200), ("iconplus", 1, 7200)]
        for level, code in (("provinsi", "64"), ("kecamatan", "64.02.05"), ("desa_kelurahan", "64.02.05.2003")):
            items = (await rank(cast, by="region", level=level, **fiber))["items"]
            assert code in {item["code"] for item in items}
            assert sum(item["down_s"] for item in items) == 4 * 3600
        (deep,) = (await rank(cast, by="region", region="64.02.05", technology="geo"))["items"]
        assert (deep["code"], deep["longest_outage_s"]) == ("64.02.05", 25 * 3600), "never as its whole district"


async def test_the_regions_below_one_have_the_totals_that_each_has_by_itself(session: AsyncSession, cast: Cast) -> None:
    await five_sites(session, cast)
    period = {"from": day(2, 2), "to": day(0)}
    for counted in (False, True):
        if counted:
            await count(session)
        for parent, below, params in (
            ("64", ("64.02", "64.03", "64.74"), {}),
            ("64.02", ("64.02.05", "64.02.06"), {"technology": "fiber"}),
            ("64.02.05", ("64.02.05.2003",), {"provider": "telkom-wms"}),
        ):
            answer = await get(cast.sari, f"/regions/{parent}/children/uptime", **period, **params)
            whole = (await get(cast.sari, f"/regions/{parent}/uptime", **period, **params))["total"]
            assert answer["total"] == whole | {"verdicts": None}, (parent, counted)
            rows = {item.pop("code"): item for item in answer["items"]}
            for code in below:
                own = (await get(cast.sari, f"/regions/{code}/uptime", **period, **params))["total"]
                assert rows[code].pop("name") is not None
                assert rows[code] == own | {"verdicts": None}, (parent, code, counted)
    assert len((await get(cast.ben, "/regions/64.03/children/uptime"))["items"]) == 13
    assert (await get(cast.sari, "/regions/64.02.05.2003/children/uptime"))["items"] == []
    assert (await cast.ben.get("/regions/64/children/uptime")).status_code == 403
    lines = (await cast.sari.get("/regions/64/children/uptime?format=csv&lang=id&period=7d")).text.splitlines()
    assert len(lines) == 11
    assert lines[0].lstrip("\ufeff").startswith("Kode wilayah,Wilayah,Penyedia,Teknologi,Mulai (WITA),Sampai (WITA),")


async def test_a_ranking_stays_within_the_callers_scope(session: AsyncSession, cast: Cast) -> None:
    sites = await five_sites(session, cast)
    await count(session)
    assert [item["id"] for item in (await rank(cast, "ben", by="site"))["items"]] == [sites[2]]
    assert [item["id"] for item in (await rank(cast, "icon", by="site"))["items"]] == [sites[1]]
    assert [item["code"] for item in (await rank(cast, "icon", by="provider"))["items"]] == ["iconplus"]
    (district,) = (await rank(cast, "ben", by="region"))["items"]
    assert (district["code"], district["name"], district["id"]) == ("64.03", "Kabupaten Berau", None)


async def test_a_site_that_never_answered_is_unranked_for_lack_of_evidence(session: AsyncSession, cast: Cast) -> None:
    site_id = await site_since(session, cast, day(4), (day(3), "unknown"))
    answer = await rank(cast, by="site", min_coverage_pct=0)
    assert [(item["id"], item["reason"], item["uptime_pct"]) for item in answer["unranked"]] == [
        (site_id, "no_evidence", None)
    ]


async def test_a_ranking_of_one_provider_counts_its_own_sites_alone(session: AsyncSession, cast: Cast) -> None:
    sites = await five_sites(session, cast)
    for counted in (False, True):
        if counted:
            await count(session)
        own = await rank(cast, by="site", provider="telkom-wms", region="64.02", technology="fiber")
        assert [item["id"] for item in (*own["items"], *own["unranked"])] == [sites[0], sites[3]]
        (district,) = (await rank(cast, by="region", provider="iconplus"))["items"]
        assert (district["code"], district["sites"], district["down_s"]) == ("64.02", 1, 7200)
        (provider,) = (await rank(cast, by="provider", provider="iconplus"))["items"]
        assert (provider["code"], provider["down_s"]) == ("iconplus", 7200)
    wrong = await cast.sari.get("/ranking?by=site&provider=iconpuls")
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "unknown_provider")


async def test_seconds_behind_a_tower_that_was_down_stand_beside_those_down(session: AsyncSession, cast: Cast) -> None:
    await site_since(session, cast, day(4), (day(2, 3), "unreachable"), (day(2, 4), "up"))
    await count(session)
    [entry] = (await rank(cast, by="site"))["items"]
    assert (entry["uptime_pct"], entry["down_s"], entry["unreachable_s"]) == (97.916, 0, 3600)
