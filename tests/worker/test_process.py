"""The whole worker process, in competition with another one, on a real PostgreSQL."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from app.postgres.leader_lock import LeaderLock
from app.settings import Settings
from app.worker import process
from tests.worker.conftest import CUT_LOCK_CONNECTIONS, connect

BEATS = "SELECT count(*) FROM worker_beat WHERE source = 'central' AND beat_at > $1"


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(migrated_url)
    yield connection
    await connection.close()


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110  # logs raise no event
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(url: str, folder: Path) -> AsyncIterator[None]:
    settings = Settings(database_url=url, data_dir=folder, canaries=[])
    working = asyncio.create_task(process.work(settings))
    try:
        yield
    finally:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(working, 20)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


async def test_a_worker_steps_down_and_writes_nothing_once_another_one_has_won(
    migrated_url: str, database: asyncpg.Connection, tmp_path: Path
) -> None:
    rival = LeaderLock(migrated_url)
    with capture_logs() as logs:

        def count(event: str) -> int:
            return sum(log["event"] == event for log in logs)

        async with running(migrated_url, tmp_path):
            await until(lambda: count("worker_started") == 1)
            await asyncio.sleep(1.5)  # its first beat
            while True:
                await database.execute(CUT_LOCK_CONNECTIONS)
                if await rival.try_win():  # else the worker was faster to take its lock again
                    break
            won_at = await database.fetchval("SELECT clock_timestamp()")
            await until(lambda: count("standing_by") == 1)
            await asyncio.sleep(4)
            assert (count("leadership_lost"), count("worker_stopped"), count("job_failed")) == (1, 1, 0)
            assert await database.fetchval(BEATS, won_at) == 0
            await rival.release()
            await until(lambda: count("worker_started") == 2)
        assert count("leadership_lost") == 1
    assert await database.fetchval(BEATS, won_at) == 1


async def test_an_orderly_end_writes_a_beat_and_logs_no_warning(
    migrated_url: str, database: asyncpg.Connection, tmp_path: Path
) -> None:
    before = await database.fetchval("SELECT clock_timestamp()")
    with capture_logs() as logs:
        async with running(migrated_url, tmp_path):
            await until(lambda: any(log["event"] == "worker_started" for log in logs))
            await asyncio.sleep(1.5)
    assert {log["event"] for log in logs} <= {"worker_started", "worker_stopped", "own_beat_unanswered"}
    assert await database.fetchval(BEATS, before) == 1


@pytest.mark.parametrize("handed_over", [True, False], ids=["in order", "killed"])
async def test_who_takes_over_at_once_leaves_no_gap_and_after_a_crash_tells_of_it(
    migrated_url: str, database: asyncpg.Connection, tmp_path: Path, *, handed_over: bool
) -> None:
    await database.execute("DELETE FROM worker_beat; DELETE FROM blind")
    with capture_logs() as logs:
        async with running(migrated_url, tmp_path):
            await until(lambda: sum(log["event"] == "worker_started" for log in logs) == 1)
            await asyncio.sleep(1.5)
        if not handed_over:
            await database.execute("UPDATE worker_beat SET figures = '{}', beat_at = beat_at - interval '2 s'")
        async with running(migrated_url, tmp_path):
            await until(lambda: sum(log["event"] == "worker_started" for log in logs) == 2)
    gaps = await database.fetchval("SELECT count(*) FROM blind WHERE source = 'central' AND reason = 'stopped'")
    assert gaps == (0 if handed_over else 1)
