"""The audit: added to, never changed, read by admins within their region."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access import store as access
from app.access.models import Audit, Role
from app.access.scope import Caller
from tests.conftest import Cast

SARI = Caller(1, "sari", Role.PROVINCE_ADMIN, "64")


async def note(session: AsyncSession, *object_ids: str, region_code: str | None = None, actor: Caller = SARI) -> None:
    async with session.begin():
        for object_id in object_ids:
            await audit.record(session, actor, "change", "site", object_id, region_code=region_code)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"])
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
    await note(session, "4", actor=Caller(2, "ana", Role.DISTRICT_OPERATOR, "64.02"))
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
        secret = await access.create_token(session, name="dewi", role=Role.DISTRICT_ADMIN, region_code="64.03")
    read = await cast.stranger.get("/audit", headers={"Authorization": f"Bearer {secret}"})
    assert [item["object_id"] for item in read.json()["items"]] == ["here"]
    assert len((await cast.sari.get("/audit")).json()["items"]) == 3
