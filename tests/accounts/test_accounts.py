"""Accounts: created and changed by admins, never beyond the admin's own rights and region."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Account, Audit, Role
from app.access.scope import Caller, Grant, exceeds
from app.accounts import store
from app.accounts.schemas import AccountIn, AccountMade, AccountOut, AccountPatch
from app.core.errors import Conflict, Stale
from app.postgres.engine import Sessions, transaction
from app.postgres.leadership import Leadership
from tests.access.browser import OTHER, PASSWORD, account
from tests.conftest import Cast
from tests.support.accounts import Open, admin, made, person

SARI = Caller(None, "sari", Role.PROVINCE_ADMIN, "64")


async def test_an_account_begins_with_a_password_shown_once_that_its_owner_replaces(
    browser: Open, session: AsyncSession
) -> None:
    sari = await admin(browser, session, "sari")
    answer = await sari.person.post("/accounts", person())
    assert answer.headers["cache-control"] == "no-store"
    first = answer.json()
    initial = first["initial_password"]
    assert len(initial) == 19
    seen = (await sari.person.get(f"/accounts/{first['id']}")).json()
    assert "initial_password" not in seen
    assert seen["region"] == "Kabupaten Kutai Kartanegara"
    ana = browser()
    assert (await ana.sign_in("ana", initial)).json()["account"]["must_change_password"]
    for path in ("/sites", "/status", "/accounts"):
        refused = await ana.person.get(path)
        assert refused.status_code == 403
        assert refused.json()["type"].endswith("/new-password-needed")
    assert (await ana.person.get("/me")).status_code == (await ana.person.get("/session")).status_code == 200
    changed = await ana.person.post("/me/password", {"current_password": initial, "new_password": OTHER})
    ana.client.headers["X-CSRF-Token"] = changed.json()["csrf_token"]
    assert not changed.json()["account"]["must_change_password"]
    assert (await ana.person.get("/sites")).status_code == 200
    async with session.begin():
        audited = (await session.scalars(select(Audit).where(Audit.object == "account"))).all()
    told = str([(entry.before, entry.after, entry.reason) for entry in audited])
    assert initial not in told
    assert "argon2" not in told
    assert [(e.actor, e.action, e.region_code, e.address) for e in audited if e.action == "create"] == [
        ("sari", "create", "64.02", "198.51.100.7")
    ]


async def test_a_password_that_is_given_is_not_shown_and_need_not_be_changed(
    browser: Open, session: AsyncSession
) -> None:
    sari = await admin(browser, session, "sari")
    given = await made(sari, password=PASSWORD)
    assert (given["initial_password"], given["must_change_password"]) == (None, False)
    ana = browser()
    assert (await ana.sign_in("ana")).status_code == 200
    assert (await ana.person.get("/sites")).status_code == 200


async def test_sent_again_it_makes_no_second_one_and_shows_no_password(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    key = {"Idempotency-Key": "k1"}
    first = await sari.person.post("/accounts", person(), headers=key)
    again = await sari.person.post("/accounts", person(), headers=key)
    assert first.json()["id"] == again.json()["id"]
    assert again.json()["initial_password"] is None
    other = await sari.person.post("/accounts", person(name="Other"), headers=key)
    assert other.json()["errors"][0]["code"] == "key_reused"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"username": "a\0na"}, {"username": "string_pattern_mismatch"}),
        ({"username": "a" * 10_000}, {"username": "string_too_long"}),
        ({"username": "an"}, {"username": "string_pattern_mismatch"}),
        ({"username": "ana lestari"}, {"username": "string_pattern_mismatch"}),
        ({"username": 7}, {"username": "string_type"}),
        ({"name": "A\0"}, {"name": "nul"}),
        ({"name": "A" * 101}, {"name": "string_too_long"}),
        ({"role": "king"}, {"role": "enum"}),
        ({"region_code": "64.99"}, {"region_code": "unknown_region"}),
        ({"region_code": "6402"}, {"region_code": "unknown_region"}),
        ({"region_code": "64"}, {"region_code": "district_role"}),
        ({"role": "province_operator"}, {"region_code": "province_role"}),
        ({"role": "provider_viewer"}, {"provider": "missing"}),
        ({"role": "provider_viewer", "provider": "iconpluss"}, {"provider": "unknown_provider"}),
        ({"provider": "iconplus"}, {"provider": "no_provider"}),
        ({"password": "short"}, {"password": "password_length"}),
        ({"password": "lestari12345"}, {"password": "password_weak"}),
        ({"password": "\ud800" * 12}, {"body": "string_unicode"}),
        ({"password": "x" * 900_000}, {"password": "string_too_long"}),
        ({"password": "x" * 1_000}, {"password": "password_length"}),
        (
            {"region_code": "64.99", "provider": "nobody", "password": "short"},
            {"region_code": "unknown_region", "provider": "unknown_provider", "password": "password_length"},
        ),
        ({"id": 7}, {"id": "extra_forbidden"}),
    ],
)
async def test_what_is_wrong_is_named_field_by_field(
    cast: Cast, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    body = person(**changes)
    answer = await cast.sari.client.post("/api/v1/accounts", content=json_of(body), headers=JSON)
    assert answer.status_code == 422, answer.text
    assert {error["field"]: error["code"] for error in answer.json()["errors"]} == expected
    if "password" in changes:
        assert str(changes["password"])[:50] not in answer.text
    assert (await cast.sari.get("/accounts")).json()["items"] == []


JSON = {"Content-Type": "application/json"}


def json_of(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


async def test_a_region_mistyped_is_guessed_and_a_username_taken_is_told(cast: Cast) -> None:
    wrong = await cast.sari.post("/accounts", person(region_code="6402"))
    assert "64.02" in wrong.json()["errors"][0]["suggestion"]
    assert (await cast.sari.post("/accounts", person())).status_code == 201
    taken = await cast.sari.post("/accounts", person(username=" ANA "))
    assert (taken.status_code, taken.json()["errors"][0]["code"]) == (409, "duplicate_username")


async def test_a_district_admin_sees_and_gives_only_within_its_own(browser: Open, session: AsyncSession) -> None:
    await account(session, "sari")
    await account(session, "ana", Role.DISTRICT_OPERATOR, "64.02")
    tono = await admin(browser, session, "tono", "64.03")
    other = await made(tono, username="ben", region_code="64.03.06")
    assert [item["username"] for item in (await tono.person.get("/accounts")).json()["items"]] == ["tono", "ben"]
    async with session.begin():
        ana = await session.scalar(select(Account.id).where(Account.username == "ana"))
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/reset-password")):
        answer = await tono.client.request(
            method, f"/api/v1/accounts/{ana}{path}", json={"name": "x"} if method == "PATCH" else None
        )
        assert answer.status_code == 404, method
    for beyond in (
        {"region_code": "64.02"},
        {"role": "viewer", "region_code": "64"},
        {"role": "province_operator", "region_code": "64"},
        {"role": "province_admin", "region_code": "64"},
    ):
        answer = await tono.person.post("/accounts", person(username="new") | beyond)
        assert answer.status_code == 403, beyond
        assert (await tono.person.patch(f"/accounts/{other['id']}", beyond)).status_code == 403, beyond
    for role in ("district_admin", "district_operator", "viewer"):
        await made(tono, username=f"x-{role}", role=role, region_code="64.03")


async def test_nobody_but_admins_sees_accounts(cast: Cast) -> None:
    for reader in (cast.ana, cast.vera, cast.icon):
        for answer in (
            await reader.get("/accounts"),
            await reader.post("/accounts", person()),
            await reader.get("/tokens"),
        ):
            assert answer.status_code == 403
    assert (await cast.stranger.get("/accounts")).status_code == 401


async def test_a_providers_account_sees_its_provider(browser: Open, cast: Cast) -> None:
    body = person(username="icon", role="provider_viewer", region_code="64", provider="iconplus", password=PASSWORD)
    assert (await cast.sari.post("/accounts", body)).json()["provider"] == "iconplus"
    icon = browser()
    await icon.sign_in("icon")
    assert (await icon.person.get("/me")).json()["provider"] == "iconplus"
    assert [item["slug"] for item in (await icon.person.get("/providers")).json()["items"]] == ["iconplus"]


async def test_two_admins_saving_at_once_do_not_overwrite_each_other(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    ana = await made(sari)
    url, seen = f"/accounts/{ana['id']}", {"If-Match": f'"{ana["version"]}"'}
    assert (await sari.person.patch(url, {"name": "Ana L."}, headers=seen)).status_code == 200
    stale = await sari.person.patch(url, {"role": "viewer"}, headers=seen)
    assert stale.status_code == 412
    assert (stale.json()["your_version"], stale.json()["current_version"]) == (1, 2)
    now = (await sari.person.get(url)).json()
    assert (now["name"], now["role"], now["version"]) == ("Ana L.", "district_operator", 2)
    assert (await sari.person.patch(url, {"name": "Ana L."})).json()["version"] == 2, "nothing new"
    assert (await sari.person.patch(url, {"name": None})).json()["errors"][0]["code"] == "null"


async def test_a_role_that_changes_holds_at_once(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    ana = await made(sari, password=PASSWORD)
    desk = browser()
    await desk.sign_in("ana")
    assert (await desk.person.get("/accounts")).status_code == 403
    url = f"/accounts/{ana['id']}"
    assert (await sari.person.patch(url, {"role": "district_admin"})).status_code == 200
    assert (await desk.person.get("/accounts")).status_code == 200
    wrong = await sari.person.patch(url, {"role": "provider_viewer"})
    assert wrong.json()["errors"][0]["field"] == "provider"
    assert (await desk.person.patch(url, {"role": "province_admin", "region_code": "64"})).status_code == 403


async def test_a_disabled_account_is_out_at_once_and_comes_back_with_a_new_sign_in(
    browser: Open, session: AsyncSession
) -> None:
    sari = await admin(browser, session, "sari")
    ana = await made(sari, password=PASSWORD)
    desk = browser()
    await desk.sign_in("ana")
    url = f"/accounts/{ana['id']}"
    assert [(await sari.person.delete(url)).status_code for _ in range(2)] == [204, 204]
    assert (await desk.person.get("/me")).status_code == 401
    assert (await desk.sign_in("ana")).status_code == 401
    assert (await sari.person.patch(url, {"disabled": False})).json()["disabled_at"] is None
    assert (await desk.person.get("/me")).status_code == 401, "the old session stays ended"
    assert (await desk.sign_in("ana")).status_code == 200
    async with session.begin():
        actions = (
            await session.scalars(
                select(Audit.action).where(Audit.object_id == str(ana["id"]), Audit.actor == "sari").order_by(Audit.id)
            )
        ).all()
    assert actions == ["create", "disable", "enable"]


async def test_a_reset_gives_a_new_password_once_and_ends_the_sessions(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    ana = await made(sari, password=PASSWORD)
    desk = browser()
    await desk.sign_in("ana")
    reset = (await sari.person.post(f"/accounts/{ana['id']}/reset-password")).json()
    assert reset["must_change_password"]
    assert (await desk.person.get("/me")).status_code == 401
    assert (await desk.sign_in("ana")).status_code == 401
    assert (await desk.sign_in("ana", reset["initial_password"])).status_code == 200


async def test_the_last_admin_of_the_province_stays(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    own = (await sari.person.get("/me")).json()["account_id"]
    changes: tuple[dict[str, Any], ...] = (
        {"disabled": True},
        {"role": "viewer"},
        {"role": "district_admin", "region_code": "64.02"},
    )
    for change in changes:
        refused = await sari.person.patch(f"/accounts/{own}", change)
        assert refused.status_code == 409, change
        assert "last admin" in refused.json()["detail"]
    assert (await sari.person.delete(f"/accounts/{own}")).status_code == 409
    second = await made(sari, username="budi", role="province_admin", region_code="64")
    assert (await sari.person.delete(f"/accounts/{own}")).status_code == 204
    async with session.begin():
        left = await store.get_account(session, second["id"], caller=SARI)
        with pytest.raises(Conflict):
            await store.disable_account(session, left.account.id, caller=SARI)


@pytest.mark.parametrize("ident", ["0", "-1", "x", "99999999999", "4.5", "7"])
async def test_an_account_that_is_not_there_is_not_there(cast: Cast, ident: str) -> None:
    assert (await cast.sari.get(f"/accounts/{ident}")).status_code == 404
    assert (await cast.sari.delete(f"/accounts/{ident}")).status_code == 404


async def test_accounts_are_read_page_by_page(cast: Cast) -> None:
    for n in range(3):
        await cast.sari.post("/accounts", person(username=f"ana{n}"))
    first = (await cast.sari.get("/accounts", params={"limit": 2})).json()
    rest = (await cast.sari.get("/accounts", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["username"] for item in first["items"] + rest["items"]] == ["ana0", "ana1", "ana2"]
    assert rest["next_cursor"] is None


def test_nobody_gives_a_right_a_region_or_a_provider_beyond_their_own() -> None:
    """Every role for the province and for a district, held and granted."""

    def given_by(role: Role, region: str, provider: int | None = None) -> set[str]:
        return {
            f"{other.value}@{code}"
            for other in Role
            for code in ("64", "64.02", "64.02.05", "64.03")
            if not exceeds(
                Grant(role, region, provider), Grant(other, code, 1 if other is Role.PROVIDER_VIEWER else None)
            )
        }

    everything = given_by(Role.PROVINCE_ADMIN, "64")
    assert len(everything) == 24
    inside = {grant for grant in everything if "@64.02" in grant}
    assert given_by(Role.DISTRICT_ADMIN, "64.02") == {grant for grant in inside if not grant.startswith("province_")}
    assert given_by(Role.VIEWER, "64.02") == {grant for grant in inside if "viewer" in grant}
    assert given_by(Role.PROVIDER_VIEWER, "64.02", 1) == {
        grant for grant in inside if grant.startswith("provider_viewer")
    }
    assert given_by(Role.PROVIDER_VIEWER, "64.02", 2) == set()


def test_the_examples_hold() -> None:
    for model in (AccountIn, AccountPatch, AccountOut):
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)
    assert AccountMade.model_fields.keys() - AccountOut.model_fields.keys() == {"initial_password"}


async def test_of_the_last_two_admins_only_one_can_disable_the_other(committed: Sessions) -> None:
    async with committed() as session:
        ids = [(await account(session, name)).id for name in ("sari", "budi", "citra")]

    async def disable(ident: int) -> bool:
        try:
            async with transaction(committed) as session:
                await store.disable_account(session, ident, caller=SARI)
        except Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(*map(disable, ids))) == [False, True, True]


async def test_an_account_is_changed_while_worker_and_courier_run(committed: Sessions) -> None:
    async with committed() as session:
        ident = (await account(session, "ana", Role.VIEWER)).id
    async with committed() as leaders, transaction(committed) as session:
        for leadership in Leadership:
            await leaders.execute(select(func.pg_advisory_xact_lock(leadership.lock_id)))
        await session.execute(text("SET LOCAL lock_timeout = '2s'"))
        await store.disable_account(session, ident, caller=SARI)


async def test_many_first_starts_make_one_first_account(committed: Sessions) -> None:
    async def start() -> str | None:
        async with transaction(committed) as session:
            return await store.create_first(session, caller=SARI)

    assert sum(password is not None for password in await asyncio.gather(*(start() for _ in range(5)))) == 1
    async with committed() as session:
        (first,) = (await session.scalars(select(Account))).all()
    assert (first.username, first.role, first.must_change_password) == ("admin", Role.PROVINCE_ADMIN, True)


async def test_two_changes_of_one_version_are_one_change(committed: Sessions) -> None:
    async with committed() as session:
        ident = (await account(session, "ana", Role.VIEWER)).id

    async def rename(name: str) -> bool:
        try:
            async with transaction(committed) as session:
                await store.patch_account(session, ident, AccountPatch(name=name), caller=SARI, if_match=1)
        except Stale:
            return False
        return True

    assert sorted(await asyncio.gather(*(rename(f"Ana {n}") for n in range(4)))) == [False, False, False, True]


async def test_an_admin_sees_and_ends_the_sessions_of_an_account(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    ana = await account(session, "ana", Role.DISTRICT_OPERATOR, "64.02")
    hers = browser()
    assert (await hers.sign_in("ana")).status_code == 200
    [opened] = (await sari.person.get(f"/accounts/{ana.id}/sessions")).json()["items"]
    assert opened["address"]
    for _ in range(2):
        assert (await sari.person.delete(f"/accounts/{ana.id}/sessions")).status_code == 204
    assert (await hers.person.get("/me")).status_code == 401
    assert (await sari.person.get(f"/accounts/{ana.id}/sessions")).json()["items"] == []
    entries = (await sari.person.get("/audit?object=account&action=end_sessions")).json()["items"]
    assert [entry["object_id"] for entry in entries] == [str(ana.id)]
    berau = await admin(browser, session, "berau", "64.03")
    assert (await berau.person.get(f"/accounts/{ana.id}/sessions")).status_code == 404


async def test_each_learns_which_roles_they_may_grant(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    kukar = await admin(browser, session, "kukar", "64.02")
    await account(session, "ana", Role.DISTRICT_OPERATOR, "64.02")
    ana = browser()
    await ana.sign_in("ana")
    assert (await sari.person.get("/me")).json()["grants"] == [role.value for role in Role]
    assert (await kukar.person.get("/me")).json()["grants"] == [
        "district_admin",
        "district_operator",
        "viewer",
        "provider_viewer",
    ]
    assert (await ana.person.get("/me")).json()["grants"] == []
