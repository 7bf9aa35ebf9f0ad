"""Behind a real PgBouncer in transaction mode, as config/ha sets it up, all but LISTEN and session locks works."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.doctor import database, replication
from app.cli.doctor.check_result import CheckStatus, NotApplicable
from app.postgres.engine import Counter, next_version, open_engine, open_sessions, transaction
from app.postgres.leader_lock import LeaderLock
from app.postgres.work_signals import Work
from app.settings import Settings
from tests.conftest import drop_database, make_database
from tests.support.pooler import log_of, pooler


@pytest.fixture(scope="module")
async def direct(server_url: str, migrated_template: str) -> AsyncIterator[str]:
    url = await make_database(server_url, migrated_template)
    yield url
    await drop_database(url, server_url)


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pooler")


@pytest.fixture(scope="module")
async def pooled(direct: str, home: Path) -> AsyncIterator[str]:
    with pooler(direct, home) as url:
        yield url


@pytest.fixture
async def pooled_engine(pooled: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(pooled, name="pooled", query_s=1, pooled=True)
    yield engine
    await engine.dispose()


async def test_prepared_statements_are_found_on_whichever_connection(pooled_engine: AsyncEngine, home: Path) -> None:
    sessions = open_sessions(pooled_engine)

    async def ask(n: int) -> set[int]:
        pids = set()
        for _ in range(6):
            async with transaction(sessions) as session:
                row = (await session.execute(text("SELECT pg_backend_pid(), cast(:n AS int)"), {"n": n})).one()
                assert row[1] == n
                pids.add(row[0])
        return pids

    used = await asyncio.gather(*(ask(n) for n in range(8)))
    assert len(set().union(*used)) <= 2 < len(used), "eight clients share two connections"
    assert "unsupported startup parameter" not in log_of(home)


async def test_the_time_limit_of_a_query_holds_in_each_transaction_and_in_no_other(
    pooled: str, pooled_engine: AsyncEngine
) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with pooled_engine.begin() as connection:
            await connection.execute(text("SELECT pg_sleep(20)"))
    assert caught.value.orig is not None
    assert caught.value.orig.sqlstate == "57014", "PostgreSQL ended it"  # type: ignore[attr-defined]
    unlimited = open_engine(pooled, name="unlimited", pooled=True)
    async with unlimited.begin() as connection:
        assert await connection.scalar(text("SHOW statement_timeout")) == "0"
        assert await connection.scalar(text("SHOW timezone")) == "UTC"
    await unlimited.dispose()


async def test_changes_are_notified_to_who_listens_directly(direct: str, pooled_engine: AsyncEngine) -> None:
    lock = LeaderLock(direct)
    assert await lock.try_win()
    lock.signals.take(Work.REGISTRY)
    async with transaction(lock.open_sessions(pooled_engine)) as session:
        await next_version(session, Counter.REGISTRY)
    await lock.signals.wait(Work.REGISTRY, 5)
    assert lock.signals.take(Work.REGISTRY)
    await lock.release()


async def test_doctor_tells_a_pooler_from_a_direct_connection(direct: str, pooled: str) -> None:
    well = await database.check_direct_connection(Settings(database_url=pooled, database_direct_url=direct))
    assert well.status is CheckStatus.OK
    ill = await database.check_direct_connection(Settings(database_url=direct, database_direct_url=pooled))
    assert ill.status is CheckStatus.FAIL
    assert "past any transaction pooler" in str(ill)
    kept = await replication.check_pooler(Settings(database_url=pooled, database_direct_url=direct))
    assert kept.status is CheckStatus.OK
    twice = await replication.check_pooler(Settings(database_url=pooled, database_direct_url=f"{pooled}?ssl=disable"))
    assert "leads to a pooler, too" in str(twice)
    with pytest.raises(NotApplicable):
        await replication.check_pooler(Settings(database_url=direct))
