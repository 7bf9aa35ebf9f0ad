"""A reader that is killed takes each batch once, or the time of which rows may be missing is told."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.core.sealing import Sealer
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from tests.conftest import SECRET_KEY, drop_database, make_database
from tests.support.starlink_account import AccountApi, moment, open_account_api, terminal_row
from tests.support.telemetry_reader_process import ReaderForks

pytestmark = pytest.mark.real_time

BEGAN = 1_795_500_000


@pytest.fixture
def forks() -> Iterator[ReaderForks]:
    forks = ReaderForks()
    yield forks
    forks.close()


@pytest.fixture
async def committed(server_url: str, migrated_template: str) -> AsyncIterator[tuple[str, Sessions]]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    yield url, open_sessions(engine)
    await engine.dispose()
    await drop_database(url, server_url)


async def register(sessions: Sessions, api: AccountApi) -> None:
    async with transaction(sessions) as session:
        provider = await session.scalar(text("INSERT INTO provider (slug, name) VALUES ('p', 'P') RETURNING id"))
        await session.execute(
            text(
                "INSERT INTO telemetry_account (provider_id, name, base_url, client_id, secret, version, created_by) "
                "VALUES (:provider, 'Akun', :base_url, 'c', :secret, 1, 'sari')"
            ),
            {
                "provider": provider,
                "base_url": api.base_url,
                "secret": Sealer([SECRET_KEY]).seal("rahasia akun"),
            },
        )


async def read(sessions: Sessions, query: str) -> Any:
    async with transaction(sessions) as session:
        return (await session.execute(text(query))).all()


async def value(sessions: Sessions, query: str) -> Any:
    return (await read(sessions, query))[0][0]


async def test_a_killed_reader_takes_each_batch_once_or_tells_the_gap(
    committed: tuple[str, Sessions], forks: ReaderForks
) -> None:
    """One dies after a commit, before the next answer; one between an answer and its commit; the third reads on."""
    url, sessions = committed
    async with open_account_api() as api:
        api.rows = [terminal_row(moment(BEGAN + 15 * n)) for n in range(16)]
        await register(sessions, api)
        pids: list[int] = []
        holding: list[asyncio.Task[None]] = []

        async def kill_when_asked_again() -> None:
            if api.asked == 2:  # the batch before is committed; this one is not answered
                os.kill(pids[-1], signal.SIGKILL)
                raise ConnectionResetError

        async def hold_the_account() -> None:
            if api.asked == 3:
                locked = asyncio.Event()
                holding.append(asyncio.create_task(kill_while_it_waits(sessions, pids[-1], locked)))
                await locked.wait()

        api.before_asked, api.before_answer = kill_when_asked_again, hold_the_account
        pids.append(forks.start(url=url, key=SECRET_KEY))
        await until(lambda: api.asked == 2)
        pids.append(forks.start(url=url, key=SECRET_KEY))
        await until(lambda: bool(holding))
        await asyncio.wait_for(holding[0], 60)
        assert (api.index, await value(sessions, "SELECT rows FROM telemetry_account")) == (8, 4), "one was lost"
        pids.append(forks.start(url=url, key=SECRET_KEY))
        await until(lambda: api.asked > 7)
        account = (await read(sessions, "SELECT * FROM telemetry_account"))[0]
        gaps = await read(sessions, "SELECT * FROM telemetry_gap ORDER BY started_at")
        assert (api.index, account.rows, account.late) == (16, 12, 0), "each batch once, but the lost one"
        missing = [moment(BEGAN + 15 * n) for n in range(4, 8)]
        assert all(any(gap.started_at < each < gap.ended_at for gap in gaps) for each in missing), "its time is told"
        assert {gap.reason for gap in gaps} == {"lost_answer"}


async def kill_while_it_waits(sessions: Sessions, pid: int, locked: asyncio.Event) -> None:
    """Lock the account, so that the reader has its answer and cannot commit; kill it there."""
    async with transaction(sessions) as session:
        await session.execute(text("SELECT FROM telemetry_account FOR UPDATE"))
        locked.set()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        for _ in range(1_000):
            if await value(sessions, waits):
                break
            await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGKILL)


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")
