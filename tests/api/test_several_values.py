"""Filters that take several values: any of them may match, however they are written."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.web.params import MAX_SEVERAL
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register
from tests.support.status import judge, publish

LISTS = ("/sites", "/status", "/incidents")


@pytest.fixture
async def sites(app: FastAPI, cast: Cast, session: AsyncSession) -> dict[str, str]:
    """One site of each state, of two technologies, providers and districts; its code by its state."""
    made = {}
    for number, (state, where) in enumerate(
        (
            ("up", {}),
            ("degraded", {"technology": "geo"}),
            ("down", {"provider": "iconplus", "village_code": BERAU_VILLAGE}),
            ("unknown", {"technology": "leo"}),
        )
    ):
        one = await register(cast, host=f"198.51.100.{number + 20}", **where)
        if state != "unknown":
            await judge(session, one["id"], state)
        made[state] = one["code"]
    await publish(app)
    return made


async def codes(cast: Cast, path: str, query: str) -> set[str]:
    answer = await cast.sari.get(f"{path}?{query}")
    assert answer.status_code == 200, answer.text
    return {item["code"] for item in answer.json().get("sites") or answer.json().get("items") or []}


@pytest.mark.parametrize("path", ["/sites", "/status"])
@pytest.mark.parametrize(
    ("query", "states"),
    [
        ("state=down,degraded", {"down", "degraded"}),
        ("state=down&state=degraded", {"down", "degraded"}),
        ("state=degraded, down&state=down", {"down", "degraded"}),
        ("technology=geo,leo", {"degraded", "unknown"}),
        ("provider=iconplus,telkom-wms&state=up,down", {"up", "down"}),
        ("region=64.03,64.02.05&state=down,unknown", {"down", "unknown"}),
        ("state=down,degraded&technology=geo", {"degraded"}),
    ],
)
async def test_any_of_several_values_matches(
    cast: Cast, sites: dict[str, str], path: str, query: str, states: set[str]
) -> None:
    assert await codes(cast, path, query) == {sites[state] for state in states}


async def test_an_export_takes_the_same_filters(cast: Cast, sites: dict[str, str]) -> None:
    answer = await cast.sari.get("/sites/export?state=down,degraded&lang=en")
    exported = answer.text.splitlines()[1:]
    assert {code for code in sites.values() if any(code in line for line in exported)} == {
        sites["down"],
        sites["degraded"],
    }


async def test_equal_sets_are_one_and_the_same_cached_response(app: FastAPI, cast: Cast, sites: dict[str, str]) -> None:
    etags = set()
    for query in ("state=down,degraded", "state=degraded,down", "state=degraded&state=down&state=down"):
        etags.add((await cast.sari.get(f"/status?{query}")).headers["etag"])
    assert len(etags) == 1
    assert (await cast.sari.get("/status?state=down")).headers["etag"] not in etags


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("technology=fiber,fibre", "technology", "enum"),
        ("technology=fiber,", "technology", "enum"),
        ("region=64.02,64.99", "region", "unknown_region"),
        ("provider=telkom-wms,telkom_wms", "provider", "unknown_provider"),
    ],
)
async def test_one_unknown_value_among_several_is_named(
    cast: Cast, sites: dict[str, str], path: str, query: str, field: str, code: str
) -> None:
    answer = await cast.sari.get(f"{path}?{query}")
    assert answer.status_code == 422, answer.text
    assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [(field, code)]
    wrong = query.rpartition(",")[2]
    assert wrong in answer.json()["errors"][0]["message"]


async def test_what_may_be_meant_is_suggested(cast: Cast) -> None:
    (fault,) = (await cast.sari.get("/sites?state=up,degrated")).json()["errors"]
    assert (fault["field"], fault["suggestion"]) == ("state", "Did you mean degraded?")


async def test_the_number_of_values_is_bounded(cast: Cast) -> None:
    answer = await cast.sari.get("/sites", params={"state": ",".join(["up"] * (MAX_SEVERAL + 1))})
    assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [("state", "too_long")]


async def test_a_district_names_no_region_beyond_its_own_among_several(cast: Cast) -> None:
    for path in LISTS:
        assert (await cast.ana.get(f"{path}?region=64.02.05,64.03")).status_code == 403


async def test_a_parameter_that_takes_one_value_is_not_repeated(cast: Cast) -> None:
    (fault,) = (await cast.sari.get("/sites?limit=1&limit=2")).json()["errors"]
    assert (fault["field"], fault["code"]) == ("limit", "repeated")


def test_clients_see_a_list_of_the_values(app: FastAPI) -> None:
    for path in LISTS:
        parameters = app.openapi()["paths"][f"/api/v1{path}"]["get"]["parameters"]
        schema: dict[str, Any] = next(p["schema"] for p in parameters if p["name"] == "technology")
        assert (schema["type"], schema["maxItems"]) == ("array", MAX_SEVERAL)
        assert schema["items"]["$ref"] == "#/components/schemas/Technology"
