"""A request whose connection was cut runs once more where that is safe, and is never answered as if it were stored."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import text
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.models import Role
from app.access.scope import PROVINCE, Caller
from app.api.in_process import in_process
from app.api.middleware.retry_once import RetryOnce
from app.postgres.engine import open_engine, open_sessions
from app.postgres.urls import dsn
from app.web import problem_details
from app.web.deps import Session
from app.web.idempotency import IdempotencyKey
from tests.conftest import drop_database, make_database
from tests.support.failing_commits import AT_COMMIT, PASSES, WARNS

SARI = Caller(None, "sari", Role.PROVINCE_ADMIN, PROVINCE)
CUT = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'sinyal retried'"


class Row(BaseModel):
    n: int


@pytest.fixture
async def url(server_url: str, migrated_template: str) -> AsyncIterator[str]:
    url = await make_database(server_url, migrated_template)
    yield url
    await drop_database(url, server_url)


@pytest.fixture
async def database(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn(url))
    await connection.execute(AT_COMMIT)
    yield connection
    await connection.close()


@pytest.fixture
async def app(url: str, database: asyncpg.Connection) -> AsyncIterator[FastAPI]:
    engine = open_engine(url, name="retried")
    app = FastAPI()
    app.state.sessions = open_sessions(engine)
    problem_details.install(app)
    app.add_middleware(RetryOnce)

    @app.get("/all")
    async def read(session: Session) -> list[int]:
        return [row.n for row in await session.execute(text("SELECT * FROM written"))]

    @app.get("/rows")
    async def count(session: Session) -> int:
        return await session.scalar(text("SELECT count(*) FROM written")) or 0

    @app.post("/rows", status_code=201)
    async def add(row: Row, session: Session, idempotency: IdempotencyKey) -> int:
        if (found := await idempotency.find(session, row, caller=SARI)) is not None:
            return found
        await session.execute(text("INSERT INTO written VALUES (:n)"), {"n": row.n})
        await idempotency.record(session, row, 7, caller=SARI)
        return 7

    yield app
    await engine.dispose()


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test")


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def test_a_read_that_was_prepared_before_a_migration_is_answered(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    assert (await client.get("/all")).json() == []
    await database.execute("ALTER TABLE written ADD COLUMN m int NOT NULL DEFAULT 0")
    read = await client.get("/all")
    assert (read.status_code, read.json()) == (200, [])


async def test_a_read_whose_connection_was_cut_is_answered(app: FastAPI, database: asyncpg.Connection) -> None:

    async def as_the_console_asks(scope: Scope, receive: Receive, send: Send) -> None:
        await in_process(app)({**scope, "app": app}, receive, send)

    for asked in (app, as_the_console_asks):
        async with client_of(asked) as client:
            assert (await client.get("/rows")).json() == 0
            await database.execute(CUT)
            read = await client.get("/rows")
            assert (read.status_code, read.json()) == (200, 0)


async def test_a_write_is_repeated_only_with_its_key(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    await client.get("/rows")
    await database.execute(CUT)
    refused = await client.post("/rows", json={"n": PASSES})
    assert refused.status_code == 503
    assert refused.json()["type"].endswith("/unavailable"), "cut before its commit: it is not stored"
    await client.get("/rows")
    await database.execute(CUT)
    repeated = await client.post("/rows", json={"n": PASSES}, headers={"Idempotency-Key": "k"})
    assert (repeated.status_code, repeated.json()) == (201, 7)
    assert await database.fetchval("SELECT count(*) FROM written") == 1


async def test_a_commit_of_unknown_outcome_is_told_as_such_or_found_by_its_key(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    unknown = await client.post("/rows", json={"n": WARNS}, headers={"Accept-Language": "id"})
    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "5")
    assert unknown.json()["type"].endswith("/commit-unknown")
    assert unknown.json()["title"] == "Tidak diketahui apakah ini tersimpan"
    assert unknown.json()["errors"][0]["code"] == "commit_unknown"
    assert await database.fetchval("SELECT count(*) FROM written") == 1, "without a key it is not repeated"
    keyed = await client.post("/rows", json={"n": WARNS}, headers={"Idempotency-Key": "k"})
    assert (keyed.status_code, keyed.json()) == (201, 7)
    assert keyed.headers["idempotent-replayed"] == "true"
    assert await database.fetchval("SELECT count(*) FROM written") == 2
