"""API tokens: never more than their owner, shown once, refused within five seconds of their end."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens
from app.access.models import Audit, Role, Token
from app.access.scope import Caller
from app.accounts.schemas import TokenIn, TokenOut
from app.core.clock import utc_now
from app.postgres.engine import open_engine, open_sessions
from app.web.caller_cache import LOOK_UP_S, TOKEN_TTL_S, CallerCache
from tests.access.browser import Browser, account
from tests.conftest import Cast
from tests.factories import site
from tests.support.accounts import admin, made

Open = Callable[..., Browser]


def token(**changes: Any) -> dict[str, Any]:
    return {"name": "Excel", "role": "viewer", **changes}


async def minted(client: Browser, **changes: Any) -> dict[str, Any]:
    answer = await client.person.post("/tokens", token(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def works(client: Browser, secret: str, path: str = "/me") -> int:
    answer = await client.client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {secret}"})
    return answer.status_code


class CallerClock:
    """The clock of the caller cache, `ahead_s` ahead of the real one."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return monotonic() + self.ahead_s


@pytest.fixture
def clock(app: FastAPI) -> CallerClock:
    clock = CallerClock()
    app.state.callers = CallerCache(clock=clock)
    return clock


async def test_a_token_is_shown_once_and_kept_as_a_digest(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    answer = await sari.person.post("/tokens", token(days=90))
    assert answer.headers["cache-control"] == "no-store"
    first = answer.json()
    assert (first["username"], first["created_by"], first["region_code"]) == ("sari", "sari", "64")
    ends = datetime.fromisoformat(first["expires_at"]) - utc_now()
    assert timedelta(days=89) < ends <= timedelta(days=90)
    assert await works(sari, first["token"]) == 200
    listed = await sari.person.get("/tokens")
    assert first["token"] not in listed.text
    (item,) = listed.json()["items"]
    assert item.keys() == TokenOut.model_fields.keys()
    assert item["last_used_at"] is not None
    async with session.begin():
        kept = (await session.scalars(select(Token))).one()
        assert first["token"].encode() not in kept.digest
        told = str([(e.before, e.after) for e in await session.scalars(select(Audit))])
    assert first["token"] not in told


async def test_what_a_token_may_do_is_told_at_me(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    first = await minted(sari, role="district_operator", region_code="64.02")
    me = (await browser().client.get("/api/v1/me", headers={"Authorization": f"Bearer {first['token']}"})).json()
    assert (me["name"], me["username"], me["role"], me["region"]) == (
        "Excel",
        "sari",
        "district_operator",
        "Kabupaten Kutai Kartanegara",
    )
    assert (me["token_id"], me["rights"]) == (first["id"], ["read", "write"])


async def test_sent_again_it_makes_no_second_one_and_shows_no_secret(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    key = {"Idempotency-Key": "k1"}
    first, again = [(await sari.person.post("/tokens", token(), headers=key)).json() for _ in range(2)]
    assert (first["id"], again["token"]) == (again["id"], None)


async def test_an_admin_gives_no_more_than_it_has_and_no_more_than_the_owner_has(
    browser: Open, session: AsyncSession
) -> None:
    sari = await admin(browser, session, "sari")
    tono = await admin(browser, session, "tono", "64.03")
    ben = await made(sari, username="ben", region_code="64.03.06")
    for beyond in ({"role": "province_admin", "region_code": "64"}, {"region_code": "64"}, {"region_code": "64.02"}):
        answer = await tono.person.post("/tokens", token(**beyond))
        assert answer.status_code == 403, beyond
    of_ben = {"account_id": ben["id"]}
    assert (await minted(tono, role="district_operator", **of_ben))["region_code"] == "64.03.06"
    for beyond in ({"role": "district_admin"}, {"role": "district_operator", "region_code": "64.03"}):
        for admin_ in (tono, sari):
            refused = await admin_.person.post("/tokens", token(**beyond, **of_ben))
            assert [error["code"] for error in refused.json()["errors"]] == ["beyond_owner"], beyond
    viewer = await account(session, "vivi", Role.VIEWER, "64")
    wide = await sari.person.post("/tokens", token(role="district_admin", account_id=viewer.id))
    assert wide.json()["errors"][0]["code"] == "beyond_owner"
    async with session.begin():
        ana = await account_id(session, "sari")
    refused = await tono.person.post("/tokens", token(account_id=ana))
    assert refused.json()["errors"][0]["code"] == "unknown_account"
    await sari.person.delete(f"/accounts/{ben['id']}")
    refused = await sari.person.post("/tokens", token(**of_ben))
    assert refused.json()["errors"][0]["code"] == "disabled_account"


async def test_a_token_of_a_providers_account_sees_that_provider(
    browser: Open, cast: Cast, session: AsyncSession
) -> None:
    sari = await admin(browser, session, "sari")
    async with session.begin():
        iconplus: int = await session.scalar(text("SELECT id FROM provider WHERE slug = 'iconplus'"))
    dian = await account(session, "dian", Role.PROVIDER_VIEWER, "64", provider_id=iconplus)
    assert (await minted(sari, role="provider_viewer", account_id=dian.id))["provider"] == "iconplus"
    refused = await sari.person.post("/tokens", token(role="provider_viewer"))  # sari has none
    assert [error["code"] for error in refused.json()["errors"]] == ["missing"]
    beyond = token(role="provider_viewer", provider="telkom-wms", account_id=dian.id)
    refused = await sari.person.post("/tokens", beyond)
    assert [error["code"] for error in refused.json()["errors"]] == ["beyond_owner"]


async def account_id(session: AsyncSession, username: str) -> int:
    row: int = await session.scalar(text("SELECT id FROM account WHERE username = :name"), {"name": username})
    return row


async def test_tokens_are_seen_and_revoked_within_the_region_only(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    tono = await admin(browser, session, "tono", "64.03")
    theirs, ours = await minted(sari, region_code="64.02"), await minted(sari, region_code="64.03")
    assert [item["id"] for item in (await tono.person.get("/tokens")).json()["items"]] == [ours["id"]]
    assert (await tono.person.delete(f"/tokens/{theirs['id']}")).status_code == 404
    assert [(await tono.person.delete(f"/tokens/{ours['id']}")).status_code for _ in range(2)] == [204, 204]
    shown = (await tono.person.get("/tokens")).json()["items"][0]
    assert shown["revoked_by"] == "tono"
    async with session.begin():
        actions = (await session.scalars(select(Audit.action).where(Audit.object == "token").order_by(Audit.id))).all()
    assert actions == ["create", "create", "revoke"]


def test_a_caller_is_remembered_for_less_than_five_seconds() -> None:
    assert TOKEN_TTL_S + LOOK_UP_S < 5


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE token SET revoked_at = now()", "revoked"),
        ("UPDATE token SET expires_at = now()", "expired"),
        ("UPDATE account SET disabled_at = now() WHERE username = 'ana'", "its owner is disabled"),
        ("UPDATE account SET role = 'viewer' WHERE username = 'ana'", "its owner may do less"),
        ("UPDATE account SET region_code = '64.02.05' WHERE username = 'ana'", "its owner reaches less far"),
    ],
)
async def test_a_token_is_refused_within_five_seconds_once_its_ground_is_gone(
    browser: Open, session: AsyncSession, clock: CallerClock, statement: str, why: str
) -> None:
    sari = await admin(browser, session, "sari")
    ana = await account(session, "ana", Role.DISTRICT_OPERATOR, "64.02")
    secret = (await minted(sari, role="district_operator", account_id=ana.id))["token"]
    assert await works(sari, secret, "/sites") == 200
    async with session.begin():
        await session.execute(text(statement))
    clock.ahead_s = TOKEN_TTL_S + 0.1
    assert await works(sari, secret, "/sites") == 401, why
    refused = await sari.client.get("/api/v1/sites", headers={"Authorization": f"Bearer {secret}"})
    assert ("owner" in why) == ("owner" in refused.json()["detail"]), "whoever has the secret may know why"
    assert await works(browser(), secret, "/sites") == 401


async def test_a_token_that_is_still_within_its_narrowed_owner_goes_on(
    browser: Open, session: AsyncSession, clock: CallerClock
) -> None:
    sari = await admin(browser, session, "sari")
    ana = await account(session, "ana", Role.DISTRICT_OPERATOR, "64.02")
    secret = (await minted(sari, account_id=ana.id))["token"]
    async with session.begin():
        await session.execute(text("UPDATE account SET role = 'viewer' WHERE username = 'ana'"))
    clock.ahead_s = 10
    assert await works(sari, secret, "/sites") == 200


async def test_a_known_caller_stays_while_the_database_is_away_and_a_new_one_must_wait(
    app: FastAPI,
    cast: Cast,
    browser: Open,
    session: AsyncSession,
    clock: CallerClock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    await account(session, "dewi")
    dewi = browser()
    await dewi.sign_in("dewi")
    await app.state.snapshot.refresh(app.state.sessions)
    assert (await cast.vera.get("/status")).status_code == (await dewi.person.get("/status")).status_code == 200

    nothing_there = open_engine(f"postgresql+asyncpg://sinyal@/sinyal?host={tmp_path}", name="test")
    monkeypatch.setattr(app.state, "sessions", open_sessions(nothing_there))
    clock.ahead_s = 10
    assert (await cast.vera.get("/status")).status_code == 200
    assert (await dewi.person.get("/status")).status_code == 200
    assert (await cast.ben.get("/status")).status_code == 503


async def test_who_cannot_be_looked_up_changes_nothing_and_is_not_trusted_for_long(
    cast: Cast, session: AsyncSession, clock: CallerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is only busy may have revoked them long ago."""
    assert (await cast.ana.get("/sites")).status_code == 200
    async with session.begin():
        await session.execute(text("UPDATE token SET revoked_at = now() WHERE name = 'ana'"))

    async def busy(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("app.access.api_tokens.get_caller", busy)
    clock.ahead_s = 10
    assert (await cast.ana.post("/sites", site())).status_code == 503
    assert (await cast.ana.get("/sites")).status_code == 200
    clock.ahead_s = 3600
    assert (await cast.ana.get("/sites")).status_code == 503


async def test_a_full_cache_evicts_only_the_least_recently_used_caller(
    app: FastAPI, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = []

    async def get_caller(session: AsyncSession, digest: bytes, look_up: Any = api_tokens.get_caller) -> Caller:
        caller: Caller = await look_up(session, digest)
        looked_up.append(caller.name)
        return caller

    monkeypatch.setattr("app.access.api_tokens.get_caller", get_caller)
    app.state.callers = CallerCache(max_entries=2)
    for person in (cast.ana, cast.ben, cast.ana, cast.sari, cast.ana, cast.ben):
        assert (await person.get("/me")).status_code == 200
    assert looked_up == ["ana", "ben", "sari", "ben"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "a\0"}, "name"),
        ({"role": "root"}, "role"),
        ({"days": 0}, "days"),
        ({"days": 3651}, "days"),
        ({"days": None}, "days"),
        ({"region_code": "65"}, "region_code"),
        ({"account_id": 2**40}, "account_id"),
        ({"account_id": 999}, "account_id"),
        ({"role": "provider_viewer"}, "provider"),
        ({"role": "district_admin"}, "region_code"),
        ({"secret": "x"}, "secret"),
    ],
)
async def test_what_is_wrong_with_a_token_is_named(cast: Cast, changes: dict[str, Any], field: str) -> None:
    answer = await cast.sari.post("/tokens", token(**changes))
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_token_of_the_command_line_makes_tokens_that_nobody_owns(cast: Cast) -> None:
    first = (await cast.sari.post("/tokens", token(region_code="64.02"))).json()
    assert (first["account_id"], first["username"], first["created_by"]) == (None, None, "token sari")
    assert (await cast.sari.post("/me/password", {"current_password": "x", "new_password": "y"})).status_code == 403


def test_the_examples_hold() -> None:
    for model in (TokenIn, TokenOut):
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)


async def test_a_region_without_its_dots_is_told_with_them(cast: Cast) -> None:
    for path, given in (
        ("/tokens", token(region_code="6402")),
        ("/accounts", {"username": "ana", "name": "Ana", "role": "viewer", "region_code": "6402"}),
        ("/maintenance", {"region": "6402", "title": "x", "started_at": "2026-11-24", "ended_at": "2026-11-25"}),
    ):
        faults = (await cast.sari.post(path, given)).json()["errors"]
        assert "Did you mean 64.02?" in [fault["suggestion"] for fault in faults], path


async def test_tokens_are_listed_by_whether_they_work_and_by_their_owner(browser: Open, session: AsyncSession) -> None:
    sari = await admin(browser, session, "sari")
    ana = await account(session, "ana", Role.DISTRICT_OPERATOR, "64.02")
    kept, gone = await minted(sari), await minted(sari, name="Lama")
    hers = await minted(sari, name="Ana", account_id=ana.id)
    await sari.person.delete(f"/tokens/{gone['id']}")

    async def ids(query: str) -> list[int]:
        return [item["id"] for item in (await sari.person.get(f"/tokens?{query}")).json()["items"]]

    assert await ids("active=true") == [kept["id"], hers["id"]]
    assert await ids("active=false") == [gone["id"]]
    assert await ids(f"account_id={ana.id}") == [hers["id"]]
