"""Rate limits, query timeouts, page sizes, CORS and security headers."""

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.access.api_tokens import add_token, create_token
from app.access.models import Role
from app.api.app import API, create_app
from app.core.token_bucket import TokenBuckets
from app.postgres.engine import Sessions, open_engine, open_sessions
from app.settings import LimitsSettings, Settings
from app.web.credentials import COOKIE
from app.web.deps import Session
from app.web.params import MAX_LIMIT
from app.web.security_headers import HEADERS, POLICY
from tests.access.browser import PASSWORD, account
from tests.conftest import Cast

ORIGIN = "https://dasbor.example"


def asking(app: FastAPI, address: str = "198.51.100.7", **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 1), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


def limited(sessions: Sessions, engine: AsyncEngine, **settings: Any) -> FastAPI:
    app = create_app(Settings(database_url=None, **settings))
    app.state.sessions, app.state.engine = sessions, engine
    return app


@pytest.fixture
def narrow(sessions: Sessions, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """A burst of three, one per second, and a clock that stands still."""
    monkeypatch.setattr("app.api.middleware.rate_limit.time.monotonic", lambda: 1_000_000.0)
    return limited(sessions, engine, limits=LimitsSettings(requests_per_s=1, burst=3), cors_origins=[ORIGIN])


async def statuses(app: FastAPI, times: int, address: str = "198.51.100.7", **headers: str) -> list[int]:
    async with asking(app, address, **headers) as client:
        return [(await client.get(f"{API}/sites")).status_code for _ in range(times)]


async def test_who_asks_too_often_is_told_when_to_come_back(narrow: FastAPI) -> None:
    assert await statuses(narrow, 3, Authorization="Bearer nobody") == [401] * 3
    async with asking(narrow, Authorization="Bearer nobody", Origin=ORIGIN) as client:
        refused = await client.get(f"{API}/sites", headers={"Accept-Language": "id"})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["content-type"] == "application/problem+json"
    body = refused.json()
    assert body["type"].endswith("/too-many-requests")
    assert (body["status"], body["retry_after_s"]) == (429, 1)
    assert body["title"] == "Terlalu banyak permintaan"
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert refused.headers["x-content-type-options"] == "nosniff"


async def test_a_page_counts_for_each_call_of_the_api_that_it_makes(narrow: FastAPI, session: AsyncSession) -> None:
    await account(session, "dewi")
    async with asking(narrow) as client:
        await client.post(f"{API}/session", json={"username": "dewi", "password": PASSWORD})
        assert (await client.get("/console/me")).status_code == 200  # one request of a stranger, until it is known
        pages = [await client.get("/console/me") for _ in range(2)]
        assert [page.status_code for page in pages] == [200, 429]
        assert (pages[1].headers["retry-after"], "text/html" in pages[1].headers["content-type"]) == ("1", True)


async def test_whatever_credential_is_made_up_it_counts_against_its_address(narrow: FastAPI) -> None:
    forms: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer {}"},
        {"Authorization": "bearer  {}  "},
        {"Authorization": "Basic {}"},
        {"Cookie": f"theme=dark; {COOKIE}={{}}; x=y"},
        {"Cookie": f"x{COOKIE}={{}}"},
    ]
    for number, form in enumerate(forms):
        made_up = [{name: value.format(secret) for name, value in form.items()} for secret in "abcd"]
        answers = [await statuses(narrow, 1, f"198.51.100.{number}", **headers) for headers in made_up]
        assert answers == [[401], [401], [401], [429]], form
    assert await statuses(narrow, 3, "2001:db8:1:2::1") == [401] * 3
    assert await statuses(narrow, 1, "2001:db8:1:2:ffff::9") == [429], "who has an IPv6 address has its /64"
    assert await statuses(narrow, 1, "2001:db8:1:3::1") == [401]


async def test_who_is_known_counts_for_itself_and_strangers_at_its_address_do_not_starve_it(
    narrow: FastAPI, session: AsyncSession
) -> None:
    dewi = await account(session, "dewi")
    options: dict[str, Any] = {"role": Role.VIEWER, "region_code": "64", "provider_id": None, "days": None}
    async with session.begin():
        tokens = [(await add_token(session, name=name, account_id=dewi.id, **options))[1] for name in ("one", "two")]
        other = {"Authorization": "Bearer " + await create_token(session, name="other", role=Role.VIEWER)}
    one, two = ({"Authorization": f"Bearer {token}"} for token in tokens)
    assert await statuses(narrow, 1, **one) == [200], "counts against the address: it is not known yet"
    assert await statuses(narrow, 3, Authorization="Bearer made-up") == [401, 401, 429]
    assert await statuses(narrow, 2, **one) == [200, 200]
    assert await statuses(narrow, 2, Authorization=f"Bearer   {tokens[0]} ") == [200, 429], "the same, blanks or not"
    assert await statuses(narrow, 2, "198.51.100.8", **two) == [200, 429], "of the same account"
    assert await statuses(narrow, 5, "198.51.100.8", **other) == [200, 200, 200, 200, 429]


async def test_who_watches_the_service_is_never_told_to_wait(narrow: FastAPI) -> None:
    await statuses(narrow, 4)
    async with asking(narrow) as client:
        assert [(await client.get("/healthz")).status_code for _ in range(10)] == [200] * 10
        assert (await client.get("/metrics")).status_code == 401, "without a token"
        assert (await client.get(f"{API}/sites")).status_code == 429


async def test_the_limit_can_be_taken_off(sessions: Sessions, engine: AsyncEngine) -> None:
    free = limited(sessions, engine, limits=LimitsSettings(requests_per_s=0, burst=1))
    assert await statuses(free, 20) == [401] * 20


def test_a_bucket_fills_up_evenly_and_no_further_than_a_burst() -> None:
    bucket = TokenBuckets(per_s=10, burst=5)

    def taken(now: float, times: int) -> int:
        return sum(bucket.take(b"one", now) == 0 for _ in range(times))

    assert taken(100.0, 20) == 5
    assert bucket.take(b"one", 100.0) == pytest.approx(0.1)
    assert taken(100.05, 20) == 0
    assert taken(100.301, 20) == 3
    assert taken(10_000.0, 20) == 5
    assert sum(taken(20_000 + n / 10 + 0.001, 3) for n in range(100)) == 104, "over 9.9 s: the burst, and ten a second"


def test_many_tokens_are_taken_together_or_not_at_all_and_never_more_than_a_burst() -> None:
    bucket = TokenBuckets(per_s=1, burst=10)
    assert [bucket.take(b"one", 100.0, tokens) for tokens in (7, 3)] == [0, 0]
    assert bucket.take(b"one", 100.0, 4) == pytest.approx(4)
    assert bucket.take(b"one", 104.0, 4) == 0
    assert bucket.take(b"other", 100.0, 1000) == 0
    assert bucket.take(b"other", 100.0) == pytest.approx(1)


def test_a_token_that_is_put_back_can_be_taken_again() -> None:
    bucket = TokenBuckets(per_s=1, burst=2)
    for _ in range(10):
        assert bucket.take(b"one", 5.0) == 0
        bucket.refund(b"one")
    assert [bucket.take(b"one", 5.0) for _ in range(3)] == [0, 0, 1.0]


def test_callers_who_come_no_more_are_forgotten_and_those_who_owe_most_last() -> None:
    bucket = TokenBuckets(per_s=1, burst=2, max_callers=100)
    assert [bucket.take(b"greedy", 0.0) for _ in range(3)] == [0, 0, 1.0]
    for number in range(1000):
        bucket.take(str(number).encode(), 0.5)
        assert len(bucket) <= 100
    assert bucket.take(b"greedy", 0.5) == pytest.approx(0.5)
    for number in range(100):
        bucket.take(str(number).encode(), 60.0)
    assert len(bucket) <= 100
    assert bucket.take(b"greedy", 60.0) == 0


async def test_a_query_that_takes_too_long_is_ended_and_the_answer_says_what_to_do(
    app: FastAPI, engine: AsyncEngine
) -> None:
    url = engine.url.render_as_string(hide_password=False)
    impatient = open_engine(url, name="test", query_s=1)
    app.state.sessions = open_sessions(impatient)

    @app.api_route("/sleep", methods=["GET", "POST"])
    async def sleep(session: Session) -> None:
        await session.execute(text("SELECT pg_sleep(30)"))

    async with asking(app) as client:
        late = await client.get("/sleep", headers={"Accept-Language": "id"})
        assert late.status_code == 504
        assert late.json()["type"].endswith("/took-too-long")
        assert late.json()["title"].startswith("Perhitungannya terlalu lama")
        waited = await client.post("/sleep")
        assert (waited.status_code, waited.headers["retry-after"]) == (503, "5"), "a write may try again"
    async with engine.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
        assert await connection.scalar(text(query)) == 1, "this one alone"
    await impatient.dispose()


async def test_only_the_api_has_its_queries_limited(engine: AsyncEngine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    for query_s, said in ((7, "7s"), (None, "0")):
        engine_ = open_engine(url, name="test", query_s=query_s)
        async with engine_.connect() as connection:
            assert await connection.scalar(text("SHOW statement_timeout")) == said
        await engine_.dispose()


async def test_behind_a_pooler_that_ignores_the_limit_the_api_gives_up_by_itself(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.postgres.engine.CLIENT_TIMEOUT_MARGIN_S", -1)
    impatient = open_engine(engine.url.render_as_string(hide_password=False), name="test", query_s=2)
    with pytest.raises((TimeoutError, DBAPIError)):
        async with impatient.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))
    await impatient.dispose()


def test_every_list_gives_at_most_a_thousand(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    found = [
        p["schema"].get("anyOf", [p["schema"]])[0]
        for path in paths.values()
        if "get" in path
        for p in path["get"].get("parameters", ())
        if p["name"] == "limit"
    ]
    assert len(found) > 10
    most = {limit.get("maximum") for schema in found for limit in schema.get("anyOf", [schema])} - {None}
    assert most == {MAX_LIMIT} == {1000}


async def test_a_list_that_is_asked_for_more_says_how_many_it_gives(cast: Cast) -> None:
    for path in ("/sites", "/regions", "/audit", "/incidents", "/ranking?by=site"):
        refused = await cast.sari.get(path, params=httpx.QueryParams(path.partition("?")[2]).set("limit", "1001"))
        assert refused.status_code == 422, path
        assert refused.json()["errors"][0]["field"] == "limit"
        assert refused.json()["errors"][0]["message"] == "Must be at most 1000"


async def test_pages_of_other_origins_may_call_only_where_it_is_set(app: FastAPI, narrow: FastAPI) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, if-none-match, x-csrf-token, idempotency-key, if-match",
    }
    async with asking(app) as client:
        assert "access-control-allow-origin" not in (await client.get("/healthz", headers=asked)).headers
        assert (await client.options(f"{API}/sites", headers=asked)).status_code == 405
    async with asking(narrow) as client:
        allowed = await client.options(f"{API}/sites", headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == ORIGIN
        assert "PATCH" in allowed.headers["access-control-allow-methods"]
        granted = set(re.split(r", *", allowed.headers["access-control-allow-headers"].lower()))
        assert granted >= set(asked["Access-Control-Request-Headers"].split(", "))
        answer = await client.get("/healthz", headers={"Origin": ORIGIN})
        exposed = set(re.split(r", *", answer.headers["access-control-expose-headers"]))
        assert exposed >= {"ETag", "Retry-After", "Content-Disposition", "Sinyal-Simulated-Until"}
        refused = await client.options(f"{API}/sites", headers=asked | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers


async def test_a_page_of_any_origin_never_acts_with_a_visitors_session(sessions: Sessions, engine: AsyncEngine) -> None:
    anyone = limited(sessions, engine, cors_origins=["*"])
    async with asking(anyone, Origin=ORIGIN, Cookie=f"{COOKIE}=secret") as client:
        answer = await client.get(f"{API}/sites")
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" in answer.headers


async def test_every_answer_tells_browsers_to_trust_it_with_nothing(
    app: FastAPI, cast: Cast, sessions: Sessions
) -> None:
    await app.state.snapshot.refresh(sessions)

    @app.get("/broken", name="broken")
    async def broken() -> None:
        raise RuntimeError

    async with asking(app, Authorization=cast.sari.client.headers["authorization"]) as client:
        first = await client.get(f"{API}/status")
        answers = [
            first,
            await client.get(f"{API}/status"),
            await client.get(f"{API}/status", headers={"If-None-Match": first.headers["etag"]}),
            await client.get(f"{API}/sites?limit=0"),
            await client.get("/nowhere"),
            await client.head("/healthz"),
            await client.get(f"{API}/sites/export"),
            await client.get("/broken"),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 304, 422, 404, 200, 200, 500]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value], (answer.request.url, name)
        assert "strict-transport-security" not in answer.headers


async def test_browsers_stay_with_https_where_the_service_is_reached_by_it(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    for url, said in (("https://sinyal.example", "max-age=31536000"), ("http://sinyal.example", None)):
        async with asking(limited(sessions, engine, public_url=url)) as client:
            assert (await client.get("/healthz")).headers.get("strict-transport-security") == said


async def test_the_page_of_the_api_runs_its_own_script_and_no_other(app: FastAPI) -> None:
    async with asking(app) as client:
        page = await client.get("/docs")
        assert (await client.get("/docs/assets/swagger-ui.css")).status_code == 200
    policy = page.headers.get_list(POLICY)
    assert len(policy) == 1
    scripts = re.search(r"script-src ([^;]*)", policy[0])
    assert scripts is not None
    assert re.fullmatch(r"'self' 'sha256-[A-Za-z0-9+/=]{44}'", scripts[1])
    assert page.headers["x-frame-options"] == "DENY"
