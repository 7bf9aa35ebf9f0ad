"""One real PostgreSQL for all tests, migrated once by Alembic; each test runs in a transaction that is rolled back."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from starlette.routing import BaseRoute, Route

from app.access import api_tokens
from app.access.models import Role
from app.api.app import create_app
from app.core.clock import utc_now
from app.measurements import corrupt_packs, partitions
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine
from app.registry import providers
from app.registry.models import Provider
from app.runtime.migrate import migrate
from app.settings import AggregatesSettings, LimitsSettings, ProbeSettings, Settings
from tests.support.openapi import read_document
from tests.support.plain_savepoints import send_plainly

SECRET_KEY = "kunci uji yang tidak menjaga apa pun"  # of the app

pytest_plugins = [
    "tests.support.account_fixtures",
    "tests.support.agent_fixtures",
    "tests.support.alerts",
    "tests.support.console",
    "tests.support.forked_commands",
    "tests.support.incident_scenario",
    "tests.support.measured_sites",
    "tests.support.monthly_close",
    "tests.support.pushing_sites",
    "tests.support.status",
    "tests.support.status_streams",
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skipped tests into failures in CI, where every tool must be present."""
    report = yield
    if report.skipped and "CI" in os.environ:
        report.outcome, report.longrepr = "failed", f"skipped, which CI does not allow: {report.longrepr}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait for real time begin first: others then run while they wait (`make test` has six processes).

    Of the others the largest begin first, so that the last ones are short, and all processes end together.
    """
    waiting = {item.path for item in items if item.get_closest_marker("real_time")}
    sizes = {path: path.stat().st_size for path in {item.path for item in items}}
    items.sort(key=lambda item: (0, 0) if item.path in waiting else (1, -sizes[item.path]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted (`record_property`): calls, targets, examples or kills."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid}: {name}: {value}")


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of the server to create databases on: SINYAL_DATABASE_URL, else the tests' embedded one."""
    if given := os.environ.get("SINYAL_DATABASE_URL"):
        return Settings(database_url=given).database_url or ""
    return request.getfixturevalue("embedded_url")  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sinyal-test-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        # nothing reads this cluster after a crash; databases are made and dropped in half the time
        with (cluster.home / "data" / "postgresql.auto.conf").open("a") as settings:
            settings.write("fsync = off\nfull_page_writes = off\n")
        assert cluster.pid is not None
        os.kill(cluster.pid, signal.SIGHUP)
        yield cluster.url
        cluster.stop()


async def make_database(server_url: str, template: str = "template1") -> str:
    """Create a database, empty or like `migrated_template`; return its URL."""
    name = f"sinyal_test_{uuid4().hex[:12]}"
    await _administer(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


async def drop_database(url: str, server_url: str) -> None:
    """Drop a database; retry while workers of PostgreSQL itself are connected: ending them is not permitted."""
    for tries_left in range(9, -1, -1):
        try:
            await _administer(server_url, f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')
            return
        except asyncpg.InsufficientPrivilegeError:
            if not tries_left:
                raise
            await asyncio.sleep(0.5)


async def _administer(server_url: str, statement: str) -> None:
    plain = make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def migrated_template(server_url: str) -> AsyncIterator[str]:
    """The name of a migrated database without connections: a copy takes a quarter of a migration."""
    url = await make_database(server_url)
    engine = open_engine(url, name="test")
    await migrate(engine)
    await engine.dispose()
    yield make_url(url).database or ""
    await drop_database(url, server_url)


@pytest.fixture(scope="session")
async def engine(server_url: str, migrated_template: str) -> AsyncIterator[AsyncEngine]:
    url = await make_database(server_url, migrated_template)
    roomy = make_url(url).update_query_dict({"prepared_statement_cache_size": "2000"})  # all tests share a connection
    engine = open_engine(roomy.render_as_string(hide_password=False), name="test")
    send_plainly(engine)
    async with async_sessionmaker(engine)() as session, session.begin():
        await partitions.create_ahead(session, utc_now())
    yield engine
    await engine.dispose()
    await drop_database(url, server_url)


@asynccontextmanager
async def rolled_back(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        outer = await connection.begin()
        yield connection
        await outer.rollback()


def sessions_within(connection: AsyncConnection) -> Sessions:
    """Sessions as the app opens them; their commits are savepoints of the connection's transaction."""
    return async_sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")


@pytest.fixture(autouse=True)
def no_corrupt_pack_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process remembers those that it met, and *Sistem* tells of them."""
    monkeypatch.setattr(corrupt_packs, "_told", {})


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with rolled_back(engine) as connection:
        yield connection


@pytest.fixture
def sessions(connection: AsyncConnection) -> Sessions:
    return sessions_within(connection)


@pytest.fixture
async def session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


@pytest.fixture(scope="session")
def routes() -> list[BaseRoute]:
    """Each is worked out when it is first asked for, which takes longer than most tests: once for all apps."""
    return create_app(Settings(canaries=["127.255.0.1", "127.255.0.2"])).router.routes


@pytest.fixture
def app(sessions: Sessions, engine: AsyncEngine, routes: list[BaseRoute]) -> FastAPI:
    return make_app(sessions, engine, routes)


def make_app(sessions: Sessions, engine: AsyncEngine, routes: list[BaseRoute]) -> FastAPI:
    allowed = ProbeSettings(allow=["127.0.0.0/8"])
    app = create_app(
        Settings(
            canaries=["127.255.0.1", "127.255.0.2"],
            probe=allowed,
            database_url=None,
            secret_key=[SECRET_KEY],
            limits=LimitsSettings(requests_per_s=0),
            aggregates=AggregatesSettings(refresh_s=0),
        )
    )
    own = app.router.routes  # of these, single routes answer for the app that made them
    own[:] = [mine if isinstance(mine, Route) else shared for mine, shared in zip(own, routes, strict=True)]
    app.openapi = read_document  # type: ignore[method-assign]  # the same for all apps of these routes
    app.state.sessions, app.state.engine = sessions, engine
    app.state.streams.end()  # httpx waits for a response's end here: each stream sends one event and ends
    return app


@dataclass
class Person:
    """One of the cast, with a client of their own."""

    client: httpx.AsyncClient

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(f"/api/v1{path}", **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return await self.client.post(f"/api/v1{path}", json=json, **options)

    async def patch(self, path: str, json: Any, **options: Any) -> httpx.Response:
        return await self.client.patch(f"/api/v1{path}", json=json, **options)

    async def delete(self, path: str) -> httpx.Response:
        return await self.client.delete(f"/api/v1{path}")


@dataclass
class Cast:
    sari: Person  # administers the province
    ana: Person  # operates Kutai Kartanegara (64.02)
    ben: Person  # operates Berau (64.03), and must never see Kutai Kartanegara
    vera: Person  # reads the province
    icon: Person  # a provider: sees its own sites only
    stranger: Person  # has no token


@pytest.fixture
async def cast(app: FastAPI, session: AsyncSession) -> AsyncIterator[Cast]:
    async with open_cast(app, session) as cast:
        yield cast


@asynccontextmanager
async def open_cast(app: FastAPI, session: AsyncSession) -> AsyncIterator[Cast]:
    async with session.begin():
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS", "iconplus": "Icon+"})
        iconplus = await session.scalar(select(Provider.id).where(Provider.slug == "iconplus"))
        people = {}
        for name, role, region, provider in (
            ("sari", Role.PROVINCE_ADMIN, "64", None),
            ("ana", Role.DISTRICT_OPERATOR, "64.02", None),
            ("ben", Role.DISTRICT_OPERATOR, "64.03", None),
            ("vera", Role.VIEWER, "64", None),
            ("icon", Role.PROVIDER_VIEWER, "64", iconplus),
        ):
            secret = await api_tokens.create_token(
                session, name=name, role=role, region_code=region, provider_id=provider
            )
            people[name] = Person(_client(app, {"Authorization": f"Bearer {secret}"}))
    people["stranger"] = Person(_client(app, {}))
    yield Cast(**people)
    for person in people.values():
        await person.client.aclose()


def _client(app: FastAPI, headers: dict[str, str]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)
