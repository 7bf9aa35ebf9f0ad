"""`GET /status/summary`, and the status as GeoJSON."""

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import register
from tests.support.status import judge, publish


async def test_the_summary_counts_every_site_once_and_nodes_apart(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    up, down = await register(cast), await register(cast, host="198.51.100.2", provider="iconplus", technology="geo")
    await register(cast, host="198.51.100.3", village_code="64.03.01.2001")
    node = await register(cast, host="198.51.100.4", kind="node")
    for site, state in ((up, "up"), (down, "down"), (node, "up")):
        await judge(session, site["id"], state)
    await publish(app)
    summary = (await cast.vera.get("/status/summary")).json()
    assert (summary["region"]["code"], summary["region"]["sites"], summary["nodes"]["sites"]) == ("64", 3, 1)
    assert summary["region"]["states"] == {"up": 1, "degraded": 0, "down": 1, "unreachable": 0, "unknown": 1}
    assert len(summary["children"]) == 10, "every district, those without a site too"
    assert {child["code"]: child["sites"] for child in summary["children"] if child["sites"]} == {
        "64.02": 2,
        "64.03": 1,
    }
    assert {of["technology"]: of["states"]["down"] for of in summary["technologies"]} == {"fiber": 0, "geo": 1}
    assert {of["provider"]: of["sites"] for of in summary["providers"]} == {"iconplus": 1, "telkom-wms": 2}
    village = (await cast.vera.get("/status/summary", params={"region": "64.02.05.2003"})).json()
    assert (village["region"]["sites"], village["children"]) == (2, [])


async def test_the_summary_stays_within_the_scope(app: FastAPI, cast: Cast) -> None:
    await register(cast)
    await register(cast, host="198.51.100.2", provider="iconplus")
    await publish(app)
    assert (await cast.ben.get("/status/summary")).json()["region"]["sites"] == 0
    assert (await cast.icon.get("/status/summary")).json()["region"]["sites"] == 1
    assert (await cast.ben.get("/status/summary", params={"region": "64.02"})).status_code == 403
    assert (await cast.ben.get("/status/summary", params={"region": "99"})).status_code == 422


async def test_the_status_is_available_as_geojson(app: FastAPI, cast: Cast) -> None:
    await register(cast, latitude=-0.5, longitude=117.0)
    await register(cast, host="198.51.100.2", latitude=None, longitude=None)
    await publish(app)
    answer = await cast.vera.get("/status", params={"format": "geojson"})
    assert answer.headers["content-type"] == "application/geo+json"
    placed, unplaced = answer.json()["features"]
    assert placed["geometry"] == {"type": "Point", "coordinates": [117.0, -0.5]}
    assert unplaced["geometry"] is None
    assert placed["properties"]["state"] == "unknown"
    both = await cast.vera.get("/status", params={"format": "geojson", "since": answer.json()["version"]})
    assert (both.status_code, both.json()["errors"][0]["field"]) == (422, "format")
