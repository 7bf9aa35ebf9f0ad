"""Every list refuses a filter by something unknown: a typo never answers an empty list."""

from typing import Any

from fastapi import FastAPI

from tests.access.route_catalog import Call, read_calls
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register


def filtered(app: FastAPI, name: str) -> list[Call]:
    """Every list with this parameter."""
    paths = app.openapi()["paths"]
    return [
        call
        for call in read_calls(app)
        if call.method == "GET"
        and "{" not in call.path
        and name in {parameter["name"] for parameter in paths.get(call.path, {}).get("get", {}).get("parameters", [])}
    ]


async def test_an_unknown_provider_is_refused_by_every_list(app: FastAPI, cast: Cast) -> None:
    made = await register(cast)
    await app.state.snapshot.refresh(app.state.sessions)
    app.state.streams.end()  # each tells once, and is over
    provider = next(p for p in (await cast.sari.get("/providers")).json()["items"] if p["slug"] == made["provider"])
    calls = filtered(app, "provider")
    assert len(calls) >= 5
    for call in calls:
        for given in ("telkom_wms", "nobody", "99999"):
            assert await fault(cast, call, provider=given) == ("provider", "unknown_provider"), str(call)
        needed = call.request.get("params", {})
        for given in (provider["slug"], str(provider["id"])):
            answer = await cast.sari.client.get(call.path, params=needed | {"provider": given})
            assert answer.status_code == 200, str(call)
        refused = await cast.icon.client.get(call.path, params=needed | {"provider": provider["slug"]})
        assert refused.status_code == 422


async def test_an_unknown_site_is_refused_by_every_list(app: FastAPI, cast: Cast) -> None:
    made, foreign = await register(cast), await register(cast, village_code=BERAU_VILLAGE, host="198.51.100.21")
    calls = filtered(app, "site")
    assert len(calls) >= 2
    for call in calls:
        for given in ("64.02.05.2003-99", "999999", "99999999999999999999", foreign["code"], str(foreign["id"])):
            assert await fault(cast, call, site=given) == ("site", "unknown_site"), str(call)
        for given in (made["code"], str(made["id"])):
            assert (await cast.ana.client.get(call.path, params={"site": given})).status_code == 200, str(call)


async def fault(cast: Cast, call: Call, **params: Any) -> tuple[str, str]:
    answer = await cast.ana.client.get(call.path, params=call.request.get("params", {}) | params)
    assert answer.status_code == 422, f"{call} {params}: {answer.text}"
    (found,) = answer.json()["errors"]
    return found["field"], found["code"]
