"""Regions: the seed, lookup by present and former codes, GeoJSON."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.core.clock import utc_now
from app.registry import regions
from tests.conftest import Cast
from tests.factories import VILLAGE, register, site

FORMER = "64.02.05.1999"  # a former code of VILLAGE


async def test_the_seed_is_every_region_of_kaltim_and_may_run_twice(connection: AsyncConnection) -> None:
    await connection.execute(text("UPDATE region SET name = 'wrong' WHERE code = '64.02'"))
    await regions.seed(connection)
    await regions.seed(connection)
    rows = await connection.execute(text("SELECT level, count(*) AS many FROM region GROUP BY level"))
    counts = {row.level: row.many for row in rows}
    assert counts == {"provinsi": 1, "kabupaten_kota": 10, "kecamatan": 105, "desa_kelurahan": 1038}
    name = await connection.scalar(text("SELECT name FROM region WHERE code = '64.02'"))
    assert name == "Kabupaten Kutai Kartanegara"


async def test_regions_feed_cascading_pickers(cast: Cast) -> None:
    async def codes(**params: str) -> list[str]:
        return [item["code"] for item in (await cast.ben.get("/regions", params=params)).json()["items"]]

    assert await codes(level="provinsi") == ["64"]
    assert len(await codes(parent="64")) == 10
    assert all(code.startswith("64.02.") for code in await codes(parent="64.02"))
    assert "64.02.03.2002" in await codes(q="loa duri", level="desa_kelurahan")
    assert await codes(q="64.02.03.2002") == ["64.02.03.2002"]


@pytest.fixture
async def renamed(session: AsyncSession) -> None:
    async with session.begin():
        await session.execute(
            text(
                "INSERT INTO region_alias VALUES (:old, :now, '2022-02-02', 'UU 3/2022'), "
                "('64.99', '64.02', NULL, NULL), ('64.02.05.1998', :now, current_date + 30, NULL)"
            ),
            {"old": FORMER, "now": VILLAGE},
        )


@pytest.mark.usefixtures("renamed")
async def test_a_region_is_found_by_its_present_and_former_codes(cast: Cast) -> None:
    by_code = (await cast.ben.get(f"/regions/{VILLAGE}")).json()
    assert (await cast.ben.get(f"/regions/{FORMER}")).json() == by_code
    assert by_code["code"] == VILLAGE
    assert by_code["aliases"][1] == {"code": FORMER, "valid_to": "2022-02-02", "note": "UU 3/2022"}
    assert (await cast.ben.get("/regions/64")).json()["aliases"] == []
    for code in ("64.02.05.9999", "64.02.05.1998", "x"):
        assert (await cast.ben.get(f"/regions/{code}")).status_code == 404


def _rows(answer: dict[str, Any]) -> Any:
    return answer["items"] if "items" in answer else [entry["code"] for entry in answer["sites"]]


@pytest.mark.usefixtures("renamed")
async def test_a_former_code_filters_by_the_present_region(app: FastAPI, cast: Cast) -> None:
    made = await register(cast)
    await app.state.snapshot.refresh(app.state.sessions)
    app.state.snapshot.tick(utc_now())
    for path in ("/sites", "/status", "/incidents", "/maintenance", "/registry/checks"):
        answers = [(await cast.ana.get(path, params={"region": code})).json() for code in (VILLAGE, FORMER)]
        assert _rows(answers[0]) == _rows(answers[1]), path
    assert [item["code"] for item in (await cast.ana.get("/sites", params={"region": FORMER})).json()["items"]] == [
        made["code"]
    ]
    assert len((await cast.ana.get("/regions", params={"parent": "64.99"})).json()["items"]) > 10
    day = {"from": "2026-11-01", "to": "2026-11-02"}
    by_alias, by_code = [await cast.ana.get(f"/regions/{code}/uptime", params=day) for code in ("64.99", "64.02")]
    assert (by_alias.status_code, by_alias.json()) == (200, by_code.json())
    assert (await cast.ben.get("/sites", params={"region": "64.99"})).status_code == 403
    assert (await cast.ana.get("/sites", params={"region": "64.02.05.1998"})).status_code == 422


@pytest.mark.usefixtures("renamed")
async def test_a_site_registered_under_a_former_code_gets_the_present_one(cast: Cast) -> None:
    made = await register(cast, village_code=FORMER)
    assert (made["village_code"], made["code"]) == (VILLAGE, f"{VILLAGE}-01")
    other = await register(cast, host="198.51.100.21", village_code="64.02.05.2004")
    moved = await cast.ana.patch(f"/sites/{other['id']}", {"village_code": FORMER})
    assert (moved.json()["village_code"], moved.json()["code"]) == (VILLAGE, other["code"])
    refused = await cast.ana.post("/sites", site(village_code=FORMER, port="x"))
    assert {fault["field"] for fault in refused.json()["errors"]} == {"port"}
    window = {
        "region": FORMER,
        "started_at": "2026-12-01T00:00:00+08:00",
        "ended_at": "2026-12-01T02:00:00+08:00",
        "title": "PLN",
        "reason": "pemeliharaan jaringan",
    }
    planned = await cast.ana.post("/maintenance", window)
    assert planned.json()["region"] == VILLAGE, planned.text


async def test_a_dissolved_village_takes_no_more_sites_and_its_sites_are_found_by_a_check(
    cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast)
    async with session.begin():
        await session.execute(text("UPDATE region SET valid_to = '2026-01-01' WHERE code = :code"), {"code": VILLAGE})
    refused = await cast.ana.post("/sites", site(host="198.51.100.21"))
    assert [fault["code"] for fault in refused.json()["errors"]] == ["former_village"]
    assert (await cast.ana.patch(f"/sites/{made['id']}", {"ssid": "Desa"})).status_code == 200
    findings = (await cast.ana.get("/registry/checks", params={"check": "former_village"})).json()["items"]
    assert [item["code"] for item in findings] == [made["code"]]
    listed = (await cast.ana.get("/regions", params={"q": VILLAGE})).json()["items"]
    assert listed == []
    assert (await cast.ana.get(f"/regions/{VILLAGE}")).json()["valid_to"] == "2026-01-01"


async def test_aliases_are_seeded_from_their_file(
    connection: AsyncConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "aliases.csv"
    monkeypatch.setattr(regions, "ALIASES_CSV", file)
    for note in ("UU 3/2022", "Kepmendagri"):
        file.write_text(f"code,region_code,valid_to,note\n{FORMER},{VILLAGE},2022-02-02,{note}\n64.99,64.02,,\n")
        await regions.seed(connection)
        rows = (await connection.execute(text("SELECT code, region_code, note FROM region_alias ORDER BY code"))).all()
        assert [tuple(row) for row in rows] == [(FORMER, VILLAGE, note), ("64.99", "64.02", None)]


async def geojson(cast: Cast, **params: str) -> list[dict[str, Any]]:
    answer = await cast.ben.get("/regions", params={"format": "geojson", **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    body = answer.json()
    assert body["type"] == "FeatureCollection"
    assert "Cahya DSN" in body["attribution"]
    assert "MIT" in body["attribution"]
    features: list[dict[str, Any]] = body["features"]
    return features


def within(point: list[float], polygon: list[list[list[float]]]) -> bool:
    """Whether a ray from the point crosses the rings an odd number of times."""
    x, y = point
    crossed = 0
    for ring in polygon:
        for (ax, ay), (bx, by) in pairwise(ring):
            crossed += (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay)
    return crossed % 2 == 1


async def test_district_boundaries_contain_their_villages(cast: Cast) -> None:
    districts = await geojson(cast, level="kabupaten_kota")
    assert len(districts) == 10
    assert districts[1]["properties"] == {
        "code": "64.02",
        "name": "Kabupaten Kutai Kartanegara",
        "level": "kabupaten_kota",
        "parent": "64",
    }
    shapes = {}
    for district in districts:
        shape = district["geometry"]
        assert shape["type"] in {"Polygon", "MultiPolygon"}
        shapes[district["id"]] = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
    villages = await geojson(cast, level="desa_kelurahan")
    assert len(villages) == 1038, "not paginated"
    inside = sum(
        any(within(village["geometry"]["coordinates"], polygon) for polygon in shapes[village["id"][:5]])
        for village in villages
    )
    assert inside > 1038 * 0.98, "boundaries are simplified"
    subdistricts = await geojson(cast, parent="64.03")
    assert {feature["geometry"]["type"] for feature in subdistricts} == {"Point"}
    assert {feature["properties"]["parent"] for feature in subdistricts} == {"64.03"}


async def test_unchanged_geojson_is_not_sent_again(cast: Cast) -> None:
    path = "/regions?level=kabupaten_kota&format=geojson"
    first = await cast.ben.get(path)
    assert first.headers["cache-control"] == "private, max-age=86400"
    headers = {"If-None-Match": first.headers["etag"]}
    again = await cast.ben.get(path, headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    other = await cast.ben.get(
        "/regions?level=kecamatan&format=geojson", headers={"If-None-Match": first.headers["etag"]}
    )
    assert other.status_code == 200
    assert other.headers["etag"] != first.headers["etag"]
    assert (await cast.stranger.get(path)).status_code == 401


async def test_geojson_is_not_paginated(cast: Cast) -> None:
    refused = await cast.ben.get("/regions?format=geojson&limit=5&cursor=x")
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["limit", "cursor"]
    assert {error["code"] for error in refused.json()["errors"]} == {"whole_only"}
