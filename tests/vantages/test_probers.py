"""Vantages and probers as the province manages them."""

from typing import Any

from fastapi import FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.api_tokens import digest
from app.access.models import Audit
from app.vantages.models import RegisteredProber
from tests.conftest import Cast
from tests.support.delivering_probers import make_prober, make_vantage


async def create(cast: Cast, **body: Any) -> Any:
    return await cast.sari.post("/probers", {"name": "samarinda-1", "vantage": "central", **body})


async def test_a_prober_gets_its_token_once_and_only_its_digest_is_kept(cast: Cast, session: AsyncSession) -> None:
    answer = await create(cast)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert made["token"].startswith("sp-")
    assert (made["vantage"], made["vantage_name"], made["live"]) == (0, "central", False)
    (stored,) = await session.scalars(select(RegisteredProber))
    assert stored.digest == digest(made["token"])
    read = (await cast.sari.get(f"/probers/{made['id']}")).json()
    assert "token" not in read
    assert [row["name"] for row in (await cast.sari.get("/probers")).json()["items"]] == ["samarinda-1"]


async def test_a_repeated_request_makes_no_second_prober_and_shows_no_token_again(cast: Cast) -> None:
    bodies = [
        (await cast.sari.post("/probers", {"name": "a", "vantage": "central"}, headers={"Idempotency-Key": "k"})).json()
        for _ in range(2)
    ]
    assert bodies[0]["id"] == bodies[1]["id"]
    assert bodies[1]["token"] is None


async def test_wrong_names_are_told_by_field(cast: Cast) -> None:
    await create(cast)
    again = await create(cast)
    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "name_in_use")
    unknown = await create(cast, name="b", vantage="nirwana")
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "vantage")
    wrong = await create(cast, name="Samarinda 1")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "name")
    assert (await cast.sari.patch("/probers/1000", {"name": "c"})).status_code == 404


async def test_vantages_are_named_by_the_province_once_each(cast: Cast, session: AsyncSession) -> None:
    await make_vantage(cast)
    taken = await cast.sari.client.put("/api/v1/vantages/2", json={"name": "telkom", "label": "Lain"})
    assert taken.status_code == 409
    beyond = await cast.sari.client.put("/api/v1/vantages/9", json={"name": "x", "label": "Lain"})
    assert beyond.status_code == 404
    stale = {"If-Match": '"7"'}
    renamed = {"name": "telkom", "label": "Telkom Balikpapan"}
    assert (await cast.sari.client.put("/api/v1/vantages/1", json=renamed, headers=stale)).status_code == 412
    again = await cast.sari.client.put("/api/v1/vantages/1", json=renamed)
    assert again.json() == {"number": 1, **renamed, "provider": None, "version": 2}
    listed = (await cast.ana.get("/vantages")).json()["items"]
    assert [(row["number"], row["name"]) for row in listed] == [(0, "central"), (1, "telkom")]
    audited = (await session.scalars(select(Audit.action).where(Audit.object == "vantage").order_by(Audit.id))).all()
    assert audited == ["create", "change"]


async def test_at_which_provider_a_vantage_stands_is_dated(cast: Cast, session: AsyncSession) -> None:
    body = {"name": "icon", "label": "Jaringan Icon", "provider": "iconplus"}
    made = (await cast.sari.client.put("/api/v1/vantages/3", json=body)).json()
    assert (made["provider"], made["version"]) == ("iconplus", 1)
    kept = await cast.sari.client.put("/api/v1/vantages/3", json={"name": "icon", "label": "Icon"})
    assert kept.json()["provider"] == "iconplus"
    unknown = await cast.sari.client.put("/api/v1/vantages/3", json=body | {"provider": "nirwana"})
    assert [fault["field"] for fault in unknown.json()["errors"]] == ["provider"]
    moved = await cast.sari.client.put("/api/v1/vantages/3", json=body | {"provider": None})
    assert moved.json()["provider"] is None
    assert (await cast.icon.client.put("/api/v1/vantages/3", json=body)).status_code == 403
    rows = await session.execute(text("SELECT vantage, provider_id IS NULL FROM vantage_host ORDER BY started_at"))
    assert rows.all()[-1] == (3, True)


async def test_others_see_how_probers_are_and_neither_addresses_nor_figures(app: FastAPI, cast: Cast) -> None:
    prober = await make_prober(app, cast)
    await prober.send_beat(figures={"sites": 7})
    province = (await cast.sari.get(f"/probers/{prober.id}")).json()
    assert (province["address"], province["figures"]["sites"], province["live"]) == ("198.51.100.7", 7, True)
    for person in (cast.ana, cast.ben, cast.vera):
        seen = (await person.get(f"/probers/{prober.id}")).json()
        assert (seen["live"], seen["address"], seen["figures"], seen["created_by"]) == (True, None, None, None)
        assert (await person.post("/probers", {"name": "b", "vantage": "central"})).status_code == 403
        assert (await person.delete(f"/probers/{prober.id}")).status_code == 403


async def test_a_revoked_prober_and_a_replaced_token_are_refused_at_once(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    prober = await make_prober(app, cast)
    assert (await prober.send_beat()).status_code == 200
    rotated = await cast.sari.post(f"/probers/{prober.id}/token")
    assert (await prober.send_beat()).status_code == 401
    assert (await prober.deliver([])).status_code == 401
    prober.token = rotated.json()["token"]
    assert (await prober.send_beat()).status_code == 200
    for _ in range(2):
        assert (await cast.sari.delete(f"/probers/{prober.id}")).status_code == 204
    assert (await prober.send_beat()).status_code == 401
    assert (await cast.sari.post(f"/probers/{prober.id}/token")).status_code == 409
    assert (await create(cast)).status_code == 409, "its name stays its own"
    audited = await session.scalars(select(Audit.action).where(Audit.object == "prober").order_by(Audit.id))
    assert audited.all() == ["create", "rotate_token", "revoke"]
