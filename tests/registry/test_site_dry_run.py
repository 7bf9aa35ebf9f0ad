"""A dry run of a site's registration or change: every fault and warning of it, and nothing written."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register, site

FAR, SOUTH = {"latitude": -1.2, "longitude": 116.8}, {"latitude": 0.3617, "longitude": 117.4391}


async def written(session: AsyncSession) -> tuple[Any, ...]:
    """Return what a write would raise: sites, audit entries, kept idempotency keys and the registry's version."""
    counted = (
        "SELECT (SELECT count(*) FROM site), (SELECT count(*) FROM audit), "
        "(SELECT count(*) FROM idempotent_answer), (SELECT array_agg(version ORDER BY 1) FROM site)"
    )
    return tuple((await session.execute(text(counted))).one())


async def test_a_dry_run_tells_warnings_and_writes_nothing(cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    before = await written(session)
    new = site(host="198.51.100.30", technology="leo", **FAR)
    answer = await cast.ana.post("/sites?dry_run=true", new, headers={"Idempotency-Key": "k", "Accept-Language": "id"})
    assert answer.status_code == 200, answer.text
    assert {fault["field"]: fault["code"] for fault in answer.json()["warnings"]} == {
        "probe": "behind_carrier_nat",
        "latitude": "far_from_village",
    }
    assert "km dari titik tengah" in answer.json()["warnings"][1]["message"]
    answer = await cast.ana.patch(f"/sites/{made['id']}?dry_run=true", {"name": "Balai", **SOUTH})
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert [(fault["code"], fault["suggestion"]) for fault in answer.json()["warnings"]] == [
        ("other_hemisphere", "Did you mean 0°21'42\" LS?")
    ]
    assert await written(session) == before


async def test_a_dry_run_refuses_what_the_write_would(cast: Cast) -> None:
    made, other = await register(cast), await register(cast, host="198.51.100.30")
    path = f"/sites/{made['id']}"
    for method, where, body, headers in (
        ("POST", "/sites", site(), {}),  # its address is taken
        ("POST", "/sites", site(host=None, technology="x"), {}),
        ("POST", "/sites", site(host="198.51.100.40", village_code=BERAU_VILLAGE), {}),
        ("PATCH", path, {"host": other["host"]}, {}),
        ("PATCH", path, {"provider": "x", "port": 0}, {}),
        ("PATCH", path, {"village_code": BERAU_VILLAGE}, {}),
        ("PATCH", path, {"name": "x"}, {"If-Match": "999999"}),
        ("PATCH", "/sites/99999", {"name": "x"}, {}),
    ):
        dry, real = [
            await cast.ana.client.request(method, f"/api/v1{where}{query}", json=body, headers=headers)
            for query in ("?dry_run=true", "")
        ]
        assert real.status_code in {403, 404, 409, 412, 422}, real.text
        assert (dry.status_code, dry.json()) == (real.status_code, real.json())


async def test_a_registration_tells_its_warnings_whether_of_probe_or_position(cast: Cast) -> None:
    assert len((await register(cast, technology="leo", **FAR))["warnings"]) == 2
    assert (await register(cast, host="198.51.100.30"))["warnings"] == []
    assert (await cast.vera.post("/sites?dry_run=true", site())).status_code == 403
