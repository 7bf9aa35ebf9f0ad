"""Reads of the past go to a real streaming replica, and never miss what was committed before they began."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.cli.doctor import archive, replication
from app.cli.doctor.check_result import CheckStatus, NotApplicable
from app.postgres import read_replica
from app.postgres.engine import Sessions, is_commit_unknown, open_engine, open_sessions, transaction
from app.postgres.read_replica import ReadReplica
from app.settings import Settings
from tests.support.replicated import Replicated, replicated

IS_REPLICA = text("SELECT pg_is_in_recovery()")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with replicated(tmp_path_factory.mktemp("ha")) as servers:
        yield servers


@pytest.fixture
async def sessions(servers: Replicated) -> AsyncIterator[Sessions]:
    engine = open_engine(servers.primary.url, name="writes")
    yield open_sessions(engine)
    await engine.dispose()


@pytest.fixture
async def reads(servers: Replicated, sessions: Sessions) -> AsyncIterator[ReadReplica]:
    engine = open_engine(servers.replica.url, name="reads")
    reads = ReadReplica(lambda: sessions)
    reads.sessions = open_sessions(engine)
    yield reads
    await engine.dispose()


async def is_read_from_replica(reads: ReadReplica) -> bool:
    async with reads.transaction() as session:
        return bool(await session.scalar(IS_REPLICA))


async def test_what_was_just_written_is_read_from_the_replica_too(reads: ReadReplica, sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        await session.execute(text("CREATE TABLE IF NOT EXISTS note (n int)"))
        await session.execute(text("TRUNCATE note"))
    at_replica = 0
    for n in range(1, 21):
        async with transaction(sessions) as session:
            await session.execute(text("INSERT INTO note VALUES (:n)"), {"n": n})
        async with reads.transaction() as session:
            at_replica += bool(await session.scalar(IS_REPLICA))
            assert await session.scalar(text("SELECT count(*) FROM note")) == n
    assert at_replica == 20


async def test_a_replica_that_is_behind_is_not_read_and_left_alone_for_a_while(
    reads: ReadReplica, sessions: Sessions, servers: Replicated
) -> None:
    await servers.replica.execute("SELECT pg_wal_replay_pause()")
    try:
        async with transaction(sessions) as session:
            await session.execute(text("CREATE TABLE IF NOT EXISTS late (n int)"))
        assert not await is_read_from_replica(reads)
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert not await is_read_from_replica(reads)
        assert loop.time() - started < read_replica.CATCHES_UP_S, "it does not wait each time"
    finally:
        await servers.replica.execute("SELECT pg_wal_replay_resume()")
    reads._avoided_until = 0.0
    assert await is_read_from_replica(reads)


async def test_a_replica_of_another_database_is_never_read(sessions: Sessions, servers: Replicated) -> None:
    """It is a standby, and as far as ours: what it holds is somebody else's."""
    engine = open_engine(servers.replica.url.replace("@/postgres?", "@/template1?"), name="reads")
    reads = ReadReplica(lambda: sessions)
    reads.sessions = open_sessions(engine)
    assert not await is_read_from_replica(reads)
    await engine.dispose()


async def test_without_a_replica_or_with_one_that_is_gone_the_primary_is_read(
    sessions: Sessions, servers: Replicated, tmp_path: Path
) -> None:
    assert not await is_read_from_replica(ReadReplica(lambda: sessions))
    for url in (f"postgresql+asyncpg://postgres@/postgres?host={tmp_path}", servers.primary.url):
        engine = open_engine(url, name="reads")
        reads = ReadReplica(lambda: sessions)
        reads.sessions = open_sessions(engine)
        assert not await is_read_from_replica(reads)
        await engine.dispose()


async def test_a_commit_whose_wait_for_a_standby_is_cancelled_is_unknown_though_postgresql_calls_it_success(
    servers: Replicated,
) -> None:
    engine = open_engine(servers.primary.url, name="waiting")
    await servers.primary.configure("synchronous_standby_names", "absent")
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid = {pid}"
    try:
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE alone (n int)"))
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            committing = asyncio.create_task(connection.commit())
            while not await servers.primary.execute(cancel.format(pid=pid)):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.01)
            with pytest.raises(OperationalError) as caught:
                await committing
        assert is_commit_unknown(caught.value)
        assert await servers.primary.execute("SELECT count(*) FROM pg_class WHERE relname = 'alone'") == 1
    finally:
        await servers.primary.configure("synchronous_standby_names", "")
        await engine.dispose()


async def test_doctor_tells_what_replicated_servers_lack(servers: Replicated, tmp_path: Path) -> None:
    primary, replica, away = servers.primary.url, servers.replica.url, f"postgresql://a@/a?host={tmp_path}"
    well = Settings(database_url=primary, database_read_url=replica)
    assert (await replication.check_writer(well)).status is CheckStatus.OK
    assert (await replication.check_writer(Settings(database_url=replica))).status is CheckStatus.FAIL
    assert str(await replication.check_read_url(well)).startswith("ok    replica: ")
    for url, told in ((primary, "leads to no replica"), (away, "is not reachable")):
        result = await replication.check_read_url(Settings(database_url=primary, database_read_url=url))
        assert (result.status, told in str(result)) == (CheckStatus.WARN, True)
    assert "commits wait for none" in str(await replication.check_standbys(well))
    await servers.primary.configure("synchronous_standby_names", "ANY 1 (*)")
    while (result := await replication.check_standbys(well)).status is not CheckStatus.OK:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert "each commit is on one of them too" in str(result)
    await servers.primary.configure("synchronous_standby_names", "")
    assert "WAL is not archived" in str(await archive.check_archive(well))


async def test_doctor_asks_nothing_of_that_of_our_own_server(tmp_path: Path) -> None:
    for check in (replication.check_writer, replication.check_standbys, archive.check_archive):
        with pytest.raises(NotApplicable):
            await check(Settings(data_dir=tmp_path))
