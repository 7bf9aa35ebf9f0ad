"""The audit log: append-only, and read by admins within their region."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens, audit
from app.access.models import Audit, Role, Source
from app.access.scope import Caller
from app.accounts import audit_routes as routes
from tests.access.browser import Browser, account
from tests.conftest import Cast
from tests.factories import register

SARI = Caller(1, "Excel", Role.PROVINCE_ADMIN, "64", username="sari")


async def note(session: AsyncSession, *object_ids: str, region_code: str | None = None, actor: Caller = SARI) -> None:
    async with session.begin():
        for object_id in object_ids:
            await audit.record(session, actor, "change", "site", object_id, region_code=region_code)


CHANGES = (
    "UPDATE audit SET actor = 'nobody'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "INSERT INTO audit (id, actor, action, object, object_id) SELECT id, 'nobody', 'x', 'x', 'x' FROM audit "
    "ON CONFLICT (id) DO UPDATE SET actor = excluded.actor",
    "MERGE INTO audit USING site ON true WHEN MATCHED THEN DELETE",
)


@pytest.mark.parametrize("statement", CHANGES)
async def test_the_database_itself_refuses_to_change_the_audit(session: AsyncSession, statement: str) -> None:
    await note(session, "1")
    with pytest.raises(DBAPIError, match="append-only"):
        async with session.begin():
            await session.execute(text(statement))
    async with session.begin():
        assert (await session.scalars(select(Audit.actor))).all() == ["sari"]


async def test_a_contact_person_is_masked_wherever_it_stands(session: AsyncSession) -> None:
    contact = {"contact_name": "Ibu Rina", "contact_phone": None, "ssid": "Desa"}
    async with session.begin():
        await audit.record(session, SARI, "import", "site", 1, before=contact, after={"rows": [contact]})
        entry = (await session.scalars(select(Audit))).one()
    assert entry.before == {"contact_name": "***", "contact_phone": None, "ssid": "Desa"}
    assert entry.after == {"rows": [entry.before]}


async def test_the_audit_is_read_newest_first_page_by_page(cast: Cast, session: AsyncSession) -> None:
    await note(session, "1", "2", "3")
    await note(session, "4", actor=Caller(2, "sari", Role.DISTRICT_OPERATOR, "64.02", username="ana"))
    first = (await cast.sari.get("/audit", params={"limit": 3})).json()
    rest = (await cast.sari.get("/audit", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [item["object_id"] for item in first["items"]] == ["4", "3", "2"]
    assert ([item["object_id"] for item in rest["items"]], rest["next_cursor"]) == (["1"], None)
    assert [i["object_id"] for i in (await cast.sari.get("/audit", params={"actor": "ana"})).json()["items"]] == ["4"]
    assert (await cast.sari.get("/audit", params={"object": "contract"})).json()["items"] == []
    for wrong in ({"cursor": "%%"}, {"object": ""}, {"who": "ana"}):
        assert (await cast.sari.get("/audit", params=wrong)).status_code == 422


async def test_admins_read_what_lies_within_their_region_and_nobody_else_any(cast: Cast, session: AsyncSession) -> None:
    await note(session, "here", region_code="64.03.01.2001")
    await note(session, "there", region_code="64.02.05.2003")
    await note(session, "province")
    for person in (cast.ana, cast.vera, cast.icon):
        assert (await person.get("/audit")).status_code == 403
    async with session.begin():
        secret = await api_tokens.create_token(session, name="dewi", role=Role.DISTRICT_ADMIN, region_code="64.03")
    read = await cast.stranger.get("/audit", headers={"Authorization": f"Bearer {secret}"})
    assert [item["object_id"] for item in read.json()["items"]] == ["here"]
    assert len((await cast.sari.get("/audit")).json()["items"]) == 3


async def test_the_audit_is_read_by_what_where_and_when(cast: Cast, session: AsyncSession) -> None:
    async with session.begin():
        await audit.record(session, SARI, "change", "contract", 7)
        await audit.record(
            session, replace(SARI, source=Source.IMPORT), "create", "site", 7, region_code="64.02.05.2003"
        )
        await audit.record(session, SARI, "create", "site", 8, region_code="64.03.01.2001")
        await session.execute(
            text(
                "INSERT INTO audit (at, actor, action, object, object_id) "
                "VALUES ('2026-10-31T15:59:59Z', 'sari', 'create', 'site', '1'), "
                "('2026-10-31T16:00:00Z', 'sari', 'create', 'site', '2')"
            )
        )

    async def found(**params: str) -> list[str]:
        answer = await cast.sari.get("/audit", params=params)
        assert answer.status_code == 200, answer.text
        return [item["object_id"] for item in reversed(answer.json()["items"])]

    assert await found() == ["7", "7", "8", "1", "2"]
    assert await found(object="site", object_id="7") == ["7"]
    assert await found(action="change") == await found(object="contract") == ["7"]
    assert await found(source="import") == await found(region="64.02.05") == ["7"]
    assert await found(region="64.03") == ["8"]
    assert await found(to="2026-11-01") == ["1"]
    assert await found(period="2026-10") == ["1"]
    assert await found(**{"from": "2026-11-01", "to": "2026-11-02"}) == ["2"]
    assert await found(period="24h") == await found(**{"from": "2026-11-02"}) == ["7", "7", "8"]
    for wrong in (
        {"source": "rumour"},
        {"region": "99"},
        {"from": "then"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"period": "24h", "to": "2026-11-01"},
        {"format": "pdf"},
        {"object": "situs"},
    ):
        assert (await cast.sari.get("/audit", params=wrong)).status_code == 422


async def test_the_audit_is_exported_whole_and_no_cell_of_it_runs(
    cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "CHUNK", 2)
    async with session.begin():
        for number in range(5):
            await audit.record(
                session,
                SARI,
                "change",
                "site",
                number,
                region_code="64.03.01.2001",
                reason="=1+1",
                after={"host": "=x"},
            )
        await audit.record(session, SARI, "change", "contract", 9)
        secret = await api_tokens.create_token(session, name="dewi", role=Role.DISTRICT_ADMIN, region_code="64.03")
    asked: tuple[tuple[dict[str, str], dict[str, str]], ...] = (({"format": "csv"}, {}), ({}, {"Accept": "text/csv"}))
    for params, headers in asked:
        answer = await cast.sari.get("/audit", params=params | {"lang": "api"}, headers=headers)
        assert answer.headers["content-type"].startswith("text/csv")
        assert "jejak-audit-" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert [row["object_id"] for row in rows] == ["9", "4", "3", "2", "1", "0"]
    assert (rows[1]["reason"], rows[1]["after"], rows[1]["source"]) == ("'=1+1", '{"host":"=x"}', "api")
    assert rows[0]["at"].endswith("+08:00")
    assert (await cast.sari.get("/audit", params={"format": "csv"})).text.startswith("\ufeffNomor,Waktu (WITA),Pelaku,")
    few = await cast.sari.get("/audit", params={"format": "csv", "limit": 2})
    assert len(few.text.splitlines()) == 3
    unknown = (await cast.sari.get("/audit", params={"object": "situs"})).json()["errors"][0]
    assert (unknown["field"], "contract" in unknown["message"]) == ("object", True)
    dewi = {"Authorization": f"Bearer {secret}"}
    hers = await cast.stranger.get("/audit", params={"format": "csv"}, headers=dewi)
    assert len(hers.text.splitlines()) == 6
    for format in ("csv", "json"):
        beyond = await cast.stranger.get("/audit", params={"format": format, "region": "64.02"}, headers=dewi)
        assert beyond.status_code == 403


async def test_whatever_a_token_is_called_what_it_does_is_put_down_to_its_owner(
    cast: Cast, browser: Callable[..., Browser], session: AsyncSession
) -> None:
    for username in ("admin", "ana"):
        await account(session, username)
    ana = browser()
    await ana.sign_in("ana")
    made = (await ana.person.post("/tokens", {"name": "admin", "role": "province_admin"})).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    done = await browser().person.post("/providers", {"slug": "orbit", "name": "Orbit"}, headers=headers)
    assert done.status_code == 201
    written = await browser().person.post("/tokens", {"name": "x", "role": "viewer"}, headers=headers)
    assert written.json()["created_by"] == "ana"

    found = (await cast.sari.get("/audit", params={"actor": "ana"})).json()["items"]
    assert [(entry["object"], entry["token_id"], entry["token_name"]) for entry in found] == [
        ("token", made["id"], "admin"),
        ("provider", made["id"], "admin"),
        ("token", None, None),
        ("account", None, None),
    ]
    assert {entry["account_id"] for entry in found} == {made["account_id"]}
    assert (await cast.sari.get("/audit", params={"actor": "admin"})).json()["items"] == []
    exported = (await cast.sari.get("/audit", params={"actor": "ana", "format": "csv", "lang": "api"})).text
    rows = list(csv.DictReader(io.StringIO(exported.removeprefix("\ufeff"))))
    assert (rows[0]["actor"], rows[0]["token_id"], rows[0]["token_name"]) == ("ana", str(made["id"]), "admin")


async def test_what_no_account_did_cannot_pass_for_one(cast: Cast) -> None:
    await cast.sari.post("/providers", {"slug": "orbit", "name": "Orbit"})
    (entry,) = (await cast.sari.get("/audit")).json()["items"]
    assert (entry["actor"], entry["token_name"], entry["account_id"]) == ("token sari", "sari", None)
    refused = await cast.sari.post(
        "/accounts", {"username": "token sari", "name": "x", "role": "viewer", "region_code": "64"}
    )
    assert refused.json()["errors"][0]["field"] == "username"


async def test_a_sites_entries_are_found_by_its_id_and_by_its_code(cast: Cast) -> None:
    """Its registration names its code, its agents its id."""
    site = await register(cast, probe="push", host=None)
    await cast.sari.patch(f"/sites/{site['id']}", {"notes": "kunci"})
    assert (await cast.sari.post(f"/sites/{site['id']}/enrolment")).status_code in {200, 201}
    found = [
        [entry["action"] for entry in (await cast.sari.get(f"/audit?object=site&object_id={ident}")).json()["items"]]
        for ident in (site["id"], site["code"])
    ]
    assert found[0] == found[1]
    assert {"create", "change"} < set(found[0])
    assert (await cast.sari.get("/audit?object=site&object_id=nonsense")).json()["items"] == []
