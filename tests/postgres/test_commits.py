"""A commit whose outcome is unknown is never reported as success, and one that certainly failed not as unknown."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres.engine import Sessions, is_commit_unknown, is_unavailable, open_engine, open_sessions, transaction
from app.postgres.urls import dsn
from tests.conftest import drop_database, make_database
from tests.support.failing_commits import AT_COMMIT, CONFLICTS, PASSES, SLEEPS, VIOLATES, WARNS


@pytest.fixture(scope="module")
async def url(server_url: str) -> AsyncIterator[str]:
    url = await make_database(server_url)
    connection = await asyncpg.connect(dsn(url))
    await connection.execute(AT_COMMIT)
    await connection.close()
    yield url
    await drop_database(url, server_url)


@asynccontextmanager
async def opened(url: str, *, command_timeout_s: float = 15) -> AsyncIterator[tuple[AsyncEngine, Sessions]]:
    engine = open_engine(url, name="commits", pool_size=1, command_timeout_s=command_timeout_s)
    try:
        yield engine, open_sessions(engine)
    finally:
        await engine.dispose()


async def write(sessions: Sessions, n: int) -> None:
    async with transaction(sessions) as session:
        await session.execute(text("INSERT INTO written VALUES (:n)"), {"n": n})


async def fails(work: Callable[[], object], error: type[DBAPIError]) -> DBAPIError:
    with pytest.raises(error) as caught:
        await work()  # type: ignore[misc]
    return caught.value


async def test_a_commit_that_stands_on_one_server_alone_is_unknown_though_answered_with_success(url: str) -> None:
    async with opened(url) as (_, sessions):
        error = await fails(lambda: write(sessions, WARNS), OperationalError)
        assert is_commit_unknown(error)
        assert is_unavailable(error), "background work is repeated"
        await write(sessions, PASSES)


async def test_a_commit_whose_connection_ends_or_that_takes_too_long_is_unknown(url: str) -> None:
    async with opened(url) as (_, sessions):
        writing = asyncio.create_task(fails(lambda: write(sessions, SLEEPS), OperationalError))
        other = await asyncpg.connect(dsn(url))
        ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT;' AND state = 'active'"
        while not await other.fetchval(ends):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)
        assert is_commit_unknown(await writing)
        await other.close()
        await write(sessions, PASSES)
    async with opened(url, command_timeout_s=0.3) as (_, sessions):
        assert is_commit_unknown(await fails(lambda: write(sessions, SLEEPS), OperationalError))


@pytest.mark.parametrize("n", [VIOLATES, CONFLICTS])
async def test_a_commit_that_the_database_refused_is_known_to_have_failed(url: str, n: int) -> None:
    async with opened(url) as (_, sessions):
        assert not is_commit_unknown(await fails(lambda: write(sessions, n), DBAPIError))
        await write(sessions, PASSES)


async def test_a_commit_after_a_failed_statement_is_no_success(url: str) -> None:
    async with opened(url) as (_, sessions):

        async def overlook() -> None:
            async with transaction(sessions) as session:
                await session.execute(text("SELECT 1"))
                connection = await (await session.connection()).get_raw_connection()
                with pytest.raises(asyncpg.DivisionByZeroError):
                    await connection.driver_connection.execute("SELECT 1 / 0")  # type: ignore[union-attr]

        assert not is_commit_unknown(await fails(overlook, DBAPIError))


async def test_a_server_that_has_become_a_standby_is_left_by_all_connections(url: str) -> None:
    async with opened(url) as (engine, sessions):
        async with sessions() as session:
            first = await session.scalar(text("SELECT pg_backend_pid()"))

        async def write_read_only() -> None:
            async with transaction(sessions) as session:
                await session.execute(text("SET TRANSACTION READ ONLY"))
                await session.execute(text("INSERT INTO written VALUES (5)"))

        error = await fails(write_read_only, OperationalError)
        assert is_unavailable(error)
        assert not is_commit_unknown(error)
        async with sessions() as session:
            assert await session.scalar(text("SELECT pg_backend_pid()")) != first
        assert engine.pool.status()
