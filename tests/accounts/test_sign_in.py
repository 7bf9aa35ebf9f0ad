"""Signing in with a password, console sessions, and the limits on guessing."""

import asyncio
import statistics
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import login_throttle, passwords
from app.access import sessions as sign_ins
from app.access.models import Account, Audit, Role, SignIn, SignInFailure
from app.accounts import sign_in
from app.api.app import create_app
from app.core.errors import TooManyAttempts, TooManySignIns, WrongPassword
from app.postgres.engine import Sessions, transaction
from app.settings import Settings
from tests.access.browser import OTHER, PASSWORD, Browser, account
from tests.conftest import Cast

Open = Callable[..., Browser]
ELSEWHERE = "203.0.113.66"


async def shift(session: AsyncSession, column: str, seconds: int, *, table: str = "sign_in") -> None:
    async with session.begin():
        await session.execute(text(f"UPDATE {table} SET {column} = {column} - make_interval(secs => {seconds})"))


async def guess(client: Browser, username: str = "dewi", password: str = "ini bukan kata sandinya") -> int:
    return (await client.sign_in(username, password)).status_code


async def test_a_session_shows_who_and_its_cookie_is_no_scripts_business(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi", Role.DISTRICT_ADMIN, "64.03")
    dewi = browser()
    answer = await dewi.sign_in(" Dewi ")
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert answer.headers["cache-control"] == "no-store"
    shown = answer.json()["account"]
    assert (shown["username"], shown["role"], shown["region"]) == ("dewi", "district_admin", "Kabupaten Berau")
    assert shown["rights"] == ["administer", "read", "write"]
    assert (await dewi.person.get("/session")).json() == answer.json()
    assert (await dewi.person.get("/me")).json() == shown
    async with session.begin():
        kept = (await session.scalars(select(SignIn))).one()
        assert kept.digest != dewi.client.cookies["sinyal_session"].encode()
        assert (await session.scalars(select(Audit.action))).all() == ["sign_in"]


async def test_behind_tls_and_below_a_path_the_cookie_stays_there(sessions: Sessions, session: AsyncSession) -> None:
    await account(session, "dewi")
    settings = Settings(public_url="https://sinyal.example", root_path="/sinyal", database_url=None)
    other = create_app(settings)
    other.state.sessions = sessions
    cookie = (await Browser(other).sign_in("dewi")).headers["set-cookie"]
    assert {"Secure", "Path=/sinyal"} <= set(cookie.split("; "))


async def test_what_changes_something_needs_the_csrf_token(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    dewi = browser()
    await dewi.sign_in("dewi")
    good = dewi.client.headers["X-CSRF-Token"]
    body = {"slug": "orbit", "name": "Orbit"}
    for wrong in (None, "", "x", good[:-1] + "g", "é"):
        dewi.client.headers.pop("X-CSRF-Token", None)
        headers = {} if wrong is None else {"X-CSRF-Token": wrong.encode()}
        answer = await dewi.client.post("/api/v1/providers", json=body, headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 403, wrong
        assert answer.json()["type"].endswith("/csrf-token-missing")
        assert (await dewi.person.delete("/session")).status_code == 403
    assert (await dewi.person.get("/sites")).status_code == 200
    answer = await dewi.person.post("/providers", body, headers={"X-CSRF-Token": good})
    assert answer.status_code == 201, answer.text


async def test_a_token_beside_a_cookie_is_the_one_that_counts(browser: Open, cast: Cast, session: AsyncSession) -> None:
    await account(session, "dewi")
    dewi = browser()
    await dewi.sign_in("dewi")
    vera = {"Authorization": cast.vera.client.headers["Authorization"]}
    me = (await dewi.person.get("/me", headers=vera)).json()
    assert (me["name"], me["role"], me["username"], me["account_id"]) == ("vera", "viewer", None, None)
    assert me["token_id"] is not None
    assert (await dewi.person.get("/session", headers=vera)).status_code == 404
    bad = {"Authorization": "Bearer nonsense"}
    assert (await dewi.person.get("/me", headers=bad)).status_code == 401
    secret = {"Authorization": f"Bearer {dewi.client.cookies['sinyal_session']}"}
    assert (await dewi.person.get("/me", headers=secret)).status_code == 401, "a cookie is no token"


async def test_each_sign_in_is_a_new_session_and_the_one_presented_ends(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    dewi, phone = browser(), browser()
    await phone.sign_in("dewi")
    await dewi.sign_in("dewi")
    first = dewi.client.cookies["sinyal_session"]
    await dewi.sign_in("dewi")
    second = dewi.client.cookies["sinyal_session"]
    assert first != second
    dewi.client.cookies.clear()
    for secret, expected in ((first, 401), (second, 200)):
        answer = await dewi.client.get("/api/v1/me", headers={"Cookie": f"sinyal_session={secret}"})
        assert answer.status_code == expected
    assert (await phone.person.get("/me")).status_code == 200


async def test_signing_out_ends_it_at_once(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    dewi = browser()
    await dewi.sign_in("dewi")
    secret = dewi.client.cookies["sinyal_session"]
    assert (await dewi.person.delete("/session")).status_code == 204
    assert "sinyal_session" not in dewi.client.cookies
    for headers in ({}, {"Cookie": f"sinyal_session={secret}"}):
        assert (await dewi.client.get("/api/v1/me", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("column", "seconds", "expected"),
    [
        ("seen_at", 3590, 200),
        ("seen_at", 3610, 401),
        ("expires_at", 12 * 3600 - 10, 200),
        ("expires_at", 12 * 3600, 401),
    ],
)
async def test_a_session_ends_when_idle_and_in_any_case_after_its_hours(
    browser: Open, session: AsyncSession, column: str, seconds: int, expected: int
) -> None:
    await account(session, "dewi")
    dewi = browser()
    await dewi.sign_in("dewi")
    await shift(session, column, seconds)
    assert (await dewi.person.get("/me")).status_code == expected


async def test_that_it_was_seen_is_written_once_a_minute(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    dewi = browser()
    await dewi.sign_in("dewi")

    async def seen() -> Any:
        async with session.begin():
            return await session.scalar(select(SignIn.seen_at))

    before = await seen()
    await dewi.person.get("/me")
    assert await seen() == before
    await shift(session, "seen_at", 61)
    await dewi.person.get("/me")
    assert await seen() > before


async def test_a_change_of_password_ends_every_other_session_and_renews_this_one(
    browser: Open, session: AsyncSession
) -> None:
    await account(session, "dewi")
    dewi, phone = browser(), browser()
    await phone.sign_in("dewi")
    await dewi.sign_in("dewi")
    old = dewi.client.cookies["sinyal_session"]
    answer = await dewi.person.post("/me/password", {"current_password": PASSWORD, "new_password": OTHER})
    assert answer.status_code == 200, answer.text
    assert dewi.client.cookies["sinyal_session"] != old
    assert (await dewi.person.get("/me")).status_code == 200
    assert (await phone.person.get("/me")).status_code == 401
    assert (await phone.sign_in("dewi")).status_code == 401
    assert (await phone.sign_in("dewi", OTHER)).status_code == 200
    async with session.begin():
        entries = (await session.scalars(select(Audit).order_by(Audit.id))).all()
    assert [entry.action for entry in entries].count("change_password") == 1
    assert PASSWORD not in str([(e.before, e.after) for e in entries])


@pytest.mark.parametrize(
    ("current", "new", "expected"),
    [
        ("wrong wrong wrong", OTHER, ("current_password", "wrong_password")),
        (PASSWORD, PASSWORD, ("new_password", "same_password")),
        (PASSWORD, "sungai", ("new_password", "password_length")),
        (PASSWORD, "x" * 300, ("new_password", "password_length")),
        (PASSWORD, "kaltimkaltim", ("new_password", "password_weak")),
        (PASSWORD, "password12345", ("new_password", "password_weak")),
        (PASSWORD, "diskominfo2026", ("new_password", "password_weak")),
        (PASSWORD, "dewidewidewi", ("new_password", "password_weak")),
        (PASSWORD, "katasandirahasia", ("new_password", "password_weak")),
    ],
)
async def test_a_bad_new_password_is_refused_with_advice(
    browser: Open, session: AsyncSession, current: str, new: str, expected: tuple[str, str]
) -> None:
    await account(session, "dewi")
    dewi = browser()
    await dewi.sign_in("dewi")
    answer = await dewi.person.post(
        "/me/password", {"current_password": current, "new_password": new}, headers={"Accept-Language": "id"}
    )
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == expected
    assert error["suggestion"]
    assert new not in answer.text
    assert (await dewi.person.get("/me")).status_code == 200


async def test_guessing_the_current_password_is_slowed_too(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    dewi = browser()
    await dewi.sign_in("dewi")
    wrong = {"current_password": "wrong wrong wrong", "new_password": OTHER}
    answers = [(await dewi.person.post("/me/password", wrong)).status_code for _ in range(7)]
    assert answers == [422] * 5 + [429] * 2


async def test_a_password_typed_on_another_keyboard_is_the_same(browser: Open, session: AsyncSession) -> None:
    composed, decomposed = "kopi caf\u00e9 di tepi mahakam", "kopi cafe\u0301 di tepi mahakam"
    row = await account(session, "dewi")
    async with session.begin():
        row.password_hash = await passwords.hashed(composed)
        session.add(row)
    assert (await browser().sign_in("dewi", decomposed)).status_code == 200


@pytest.mark.usefixtures("costly_hashes")
async def test_an_older_hash_is_renewed_at_the_next_sign_in(browser: Open, session: AsyncSession) -> None:
    row = await account(session, "dewi")
    async with session.begin():
        row.password_hash = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        session.add(row)
    assert (await browser().sign_in("dewi")).status_code == 200
    async with session.begin():
        await session.refresh(row)
        assert "m=65536" in row.password_hash
    assert (await browser().sign_in("dewi")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"null",
        b"[]",
        b'{"username": "dewi"}',
        b'{"username": 7, "password": "x"}',
        b'{"username": "a\\u0000b", "password": "x"}',
        b'{"username": "' + b"a" * 10_000 + b'", "password": "x"}',
        b'{"username": "dewi", "password": "\\ud800"}',
        b'{"username": "dewi", "password": "x", "more": 1}',
    ],
)
async def test_a_bad_body_is_explained_to_a_stranger_too(browser: Open, body: bytes) -> None:
    answer = await browser().client.post("/api/v1/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


@pytest.mark.parametrize("password", ["", "\0", "x" * 1_024, "\ufdfa" * 1_024])
async def test_whatever_is_given_for_a_password_is_just_wrong(
    browser: Open, session: AsyncSession, password: str
) -> None:
    await account(session, "dewi")
    assert await guess(browser(), password=password) == 401


async def test_without_a_session_only_signing_in_is_open(browser: Open) -> None:
    stranger = browser()
    for method, path in (("GET", "/session"), ("DELETE", "/session"), ("GET", "/me"), ("POST", "/me/password")):
        assert (await stranger.client.request(method, f"/api/v1{path}")).status_code == 401, path
    stranger.client.cookies["sinyal_session"] = "nonsense"
    answer = await stranger.person.get("/me")
    assert (answer.status_code, answer.json()["detail"]) == (401, "The session has ended: sign in again")


@pytest.mark.usefixtures("costly_hashes")
async def test_nobody_is_told_whether_a_name_exists_or_is_disabled(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    await account(session, "gone", disabled_at=await now(session))
    answers = [await browser().sign_in(name, "wrong wrong wrong") for name in ("dewi", "gone", "nobody")]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert answers[0].json()["type"].endswith("/wrong-password")
    took: dict[str, list[float]] = {"dewi": [], "nobody": []}
    for _ in range(4):
        for name, times in took.items():
            started = time.perf_counter()
            await passwords.verify("x", None if name == "nobody" else await hash_of(session, name))
            times.append(time.perf_counter() - started)
    assert statistics.median(took["nobody"]) > 0.5 * statistics.median(took["dewi"])


async def now(session: AsyncSession) -> Any:
    async with session.begin():
        return await session.scalar(text("SELECT now()"))


async def hash_of(session: AsyncSession, username: str) -> str:
    async with session.begin():
        return (await session.scalars(select(Account.password_hash).where(Account.username == username))).one()


async def test_who_guesses_waits_ever_longer_and_the_owner_elsewhere_does_not(
    browser: Open, session: AsyncSession
) -> None:
    await account(session, "dewi")
    office, thief = browser(), browser(address=ELSEWHERE)
    await office.sign_in("dewi")
    assert [await guess(thief) for _ in range(7)] == [401] * 5 + [429] * 2
    right = await thief.sign_in("dewi")
    assert right.status_code == 429, "not even the right one, before the wait is over"
    assert right.json()["type"].endswith("/too-many-tries")
    assert 1 <= int(right.headers["retry-after"]) == right.json()["retry_after_s"] <= 2
    assert (await office.sign_in("dewi")).status_code == 200
    waits = []
    for _ in range(12):
        async with session.begin():
            await session.execute(text("UPDATE sign_in_failure SET last_at = last_at - make_interval(secs => 899)"))
            await session.execute(text("UPDATE sign_in_failure SET last_at = last_at - make_interval(secs => 2)"))
        assert await guess(thief) == 401
        waits.append(int((await thief.sign_in("dewi")).headers.get("retry-after", 0)))
    assert waits == sorted(waits)
    assert max(waits) <= 900
    async with session.begin():
        noted = (await session.scalars(select(Audit).where(Audit.action == "sign_in_failed"))).all()
    assert {(entry.actor, entry.address, entry.account_id) for entry in noted} == {
        ("somebody unknown", ELSEWHERE, None)
    }


async def test_an_account_guessed_at_from_everywhere_still_opens_where_it_was_opened_before(
    browser: Open, session: AsyncSession
) -> None:
    await account(session, "dewi")
    office = browser(address="2001:db8:1:2::7")
    await office.sign_in("dewi")
    answers = [await guess(browser(address=f"203.0.113.{n}")) for n in range(1, 26)]
    assert answers[:20] == [401] * 20
    assert answers[21:] == [429] * 4
    assert await guess(browser(address="203.0.113.99")) == 429
    assert (await office.sign_in("dewi")).status_code == 200
    assert (await browser(address="2001:db8:1:2::8").sign_in("dewi")).status_code == 200, "the same /64"
    await shift(session, "last_at", 120, table="sign_in_failure")
    assert (await browser(address="192.0.2.1").sign_in("dewi")).status_code == 200, "a new place waits a little"


async def test_an_address_that_guesses_at_many_accounts_is_slowed(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    await account(session, "rini")
    await browser(address=ELSEWHERE).sign_in("rini")
    thief = browser(address=ELSEWHERE)
    answers = [await guess(thief, f"name{n}") for n in range(33)]
    assert answers[:30] == [401] * 30
    assert answers[32] == 429
    assert await guess(thief) == 429
    assert (await browser(address=ELSEWHERE).sign_in("rini")).status_code == 200, "known there: behind the same NAT"


async def test_success_takes_back_what_was_counted(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    for _ in range(7):
        dewi = browser()
        assert await guess(dewi) == 401
        assert (await dewi.sign_in("dewi")).status_code == 200
    async with session.begin():
        kept = (await session.scalars(select(SignInFailure))).all()
    assert [failure.failures for failure in kept] == [1, 1], "of the first wrong one, before the place was known"
    assert not any("dewi" in failure.subject for failure in kept)


async def test_what_is_old_is_forgotten(browser: Open, session: AsyncSession) -> None:
    await account(session, "dewi")
    dewi = browser()
    await guess(dewi)
    await dewi.sign_in("dewi")
    await shift(session, "last_at", 86_500, table="sign_in_failure")
    await shift(session, "created_at", 91 * 86_400)
    async with session.begin():
        await login_throttle.delete_old(session)
        await sign_ins.delete_old(session)
        assert (await session.scalars(select(SignInFailure))).all() == []
        assert (await session.scalars(select(SignIn))).all() == []


async def test_fifty_guesses_at_once_are_no_more_than_five(committed: Sessions) -> None:
    async with committed() as session:
        await account(session, "dewi")

    async def try_it(password: str, address: str = ELSEWHERE) -> str:
        try:
            await sign_in.sign_in(committed, "dewi", password, address=address, ttl=timedelta(hours=1), previous=None)
        except (WrongPassword, TooManyAttempts) as problem:
            return type(problem).__name__
        return "in"

    answers = await asyncio.gather(*(try_it(f"wrong {n}") for n in range(49)), try_it("wrong 49"))
    wrong = answers.count("WrongPassword")
    assert 5 <= wrong <= 8, "one more each time a wait of 1, 2, 4 s is over, on a machine that is that slow"
    assert answers.count("TooManyAttempts") == 50 - wrong
    async with transaction(committed) as session:  # a wait that outlasts the next lines on any machine
        await session.execute(text("UPDATE sign_in_failure SET failures = failures + 6, last_at = clock_timestamp()"))
    assert await try_it(PASSWORD) == "TooManyAttempts"
    assert await try_it(PASSWORD, "198.51.100.7") == "in"


async def test_a_session_does_not_begin_on_a_password_that_was_just_changed(committed: Sessions) -> None:
    async with committed() as session:
        dewi = await account(session, "dewi")
    attempt = await sign_in._attempt(committed, "dewi", PASSWORD, address=None)
    async with committed() as session, session.begin():
        await session.execute(text("UPDATE account SET password_hash = :new"), {"new": await passwords.hashed(OTHER)})
    async with committed() as session:
        with pytest.raises(WrongPassword):
            await sign_in._confirm(session, attempt)
    assert dewi.id


@pytest.mark.usefixtures("costly_hashes")
async def test_the_loop_goes_on_while_passwords_are_hashed() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(passwords.hashed("x") for _ in range(6)))
    ticking.cancel()
    assert ticks > 10


async def test_no_more_of_a_password_is_normalised_than_one_may_have(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFC takes quadratic time in a run of combining marks: 40,000 of them held the event loop for minutes."""
    lengths: list[int] = []
    normalize = unicodedata.normalize

    def recorded(form: str, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", recorded)
    for marks, status in ((20, 401), (500, 401), (2_000, 422), (40_000, 422)):
        body = {"username": "ana", "password": "a" + "\u0323\u0307" * marks}
        assert (await cast.stranger.post("/session", body)).status_code == status
    assert lengths
    assert max(lengths) <= passwords.MAX_RAW_LENGTH


async def test_of_many_sign_ins_at_once_those_beyond_a_limit_are_told_to_come_back(
    committed: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes 64 MB and 0.1 s of a thread; nothing is counted against the accounts of those turned away."""
    monkeypatch.setattr(passwords, "MAX_SIGN_INS", 3)

    async def try_it(number: int) -> str:
        name, network = f"somebody{number}", f"198.51.100.{number}"
        try:
            await sign_in.sign_in(committed, name, "wrong", address=network, ttl=timedelta(hours=1), previous=None)
        except (WrongPassword, TooManySignIns) as problem:
            return type(problem).__name__
        return "in"

    answers = await asyncio.gather(*(try_it(number) for number in range(8)))
    assert Counter(answers) == {"WrongPassword": 3, "TooManySignIns": 5}
    async with transaction(committed) as session:
        assert await session.scalar(text("SELECT count(*) FROM sign_in_failure")) == 9, "by place, account and both"
    assert await try_it(9) == "WrongPassword"


async def test_who_is_told_to_come_back_is_told_when(browser: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_SIGN_INS", 0)
    answer = await browser().sign_in("dewi", "wrong")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"].endswith("/too-many-sign-ins")
