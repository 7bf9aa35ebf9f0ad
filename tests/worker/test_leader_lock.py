"""Who leads, and that nobody else writes: on a real PostgreSQL, with connections that are really cut."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.clock import utc_now
from app.postgres import leader_lock
from app.postgres.engine import Sessions, open_engine, transaction
from app.postgres.leader_lock import YIELD_S, LeaderLock, NoLongerLeader
from app.throughput.models import PlanningWatermark
from tests.worker.conftest import CUT_LOCK_CONNECTIONS, connect

COUNT = text("SELECT count(*) FROM push_inbox")
WRITE = text("INSERT INTO push_inbox (site_id, received_at, rows) VALUES (NULL, now(), '[]')")


@pytest.fixture
async def engine(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(migrated_url, name="test")
    yield engine
    await engine.dispose()


async def cut_connections(migrated_url: str) -> None:
    administrator = await connect(migrated_url)
    await administrator.execute(CUT_LOCK_CONNECTIONS)
    await administrator.close()


async def count_written(sessions: Sessions) -> int:
    async with transaction(sessions) as session:
        return await session.scalar(COUNT) or 0


async def write(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        await session.execute(WRITE)


async def test_a_second_worker_takes_over_within_five_seconds_of_the_firsts_end(migrated_url: str) -> None:
    first, second = LeaderLock(migrated_url), LeaderLock(migrated_url)
    assert await first.try_win()
    assert not await second.try_win()
    waiting = asyncio.create_task(second.win())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    first.abandon()
    await asyncio.wait_for(waiting, 5)
    assert not await first.try_win()
    await second.release()
    await first.release()


async def test_a_cut_connection_is_no_loss_of_the_lead_while_no_other_worker_takes_it(
    migrated_url: str, engine: AsyncEngine
) -> None:
    leader = LeaderLock(migrated_url)
    assert await leader.try_win()
    sessions = leader.open_sessions(engine)
    losing = asyncio.create_task(leader.wait_until_lost())
    await cut_connections(migrated_url)
    await write(sessions)
    await asyncio.sleep(3)
    assert not losing.done()
    rival = LeaderLock(migrated_url)
    assert not await rival.try_win()
    await write(sessions)
    assert await count_written(sessions) == 2
    losing.cancel()
    await rival.release()
    await leader.release()


async def test_after_the_database_was_away_who_led_before_goes_on(migrated_url: str) -> None:
    leader, standby = LeaderLock(migrated_url), LeaderLock(migrated_url)
    assert await leader.try_win()
    losing, waiting = asyncio.create_task(leader.wait_until_lost()), asyncio.create_task(standby.win())
    for _ in range(2):
        await asyncio.sleep(0.3)
        await cut_connections(migrated_url)
    await asyncio.sleep(2 * YIELD_S + 1)
    assert not losing.done()
    assert not waiting.done()
    losing.cancel()
    leader.abandon()
    await asyncio.wait_for(waiting, 5)
    await standby.release()


async def test_a_leader_that_falls_silent_loses_the_lock_and_one_that_starts_does_not(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader_lock, "CHECK_S", 0.3)
    monkeypatch.setattr(leader_lock, "END_WHEN_SILENT", "SELECT set_config('idle_session_timeout', '1s', false)")
    leader, rival = LeaderLock(migrated_url), LeaderLock(migrated_url)
    assert await leader.try_win()
    await asyncio.sleep(2)  # as long as its start may take
    assert not await rival.try_win()
    time.sleep(2)  # noqa: ASYNC251  # stopped: nothing in it runs
    assert await rival.try_win()
    await rival.release()
    leader.abandon()


async def test_a_connection_that_is_closing_when_it_is_asked_is_a_lost_one(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = LeaderLock(migrated_url)
    assert await leader.try_win()

    async def closing(*_: object) -> None:
        raise asyncpg.InternalClientError("got result for unknown protocol state 3")

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "fetchval", closing)
        assert not await leader.try_lock()
    assert await leader.try_lock()
    leader.abandon()


async def test_after_another_worker_has_won_the_former_leader_writes_nothing(
    migrated_url: str, engine: AsyncEngine
) -> None:
    old, new = LeaderLock(migrated_url), LeaderLock(migrated_url)
    assert await old.try_win()
    sessions = old.open_sessions(engine)
    await write(sessions)
    losing = asyncio.create_task(old.wait_until_lost())
    await cut_connections(migrated_url)
    assert await new.try_win()
    with pytest.raises(NoLongerLeader):
        await write(sessions)
    assert await count_written(sessions) == 1, "it may still read"
    await asyncio.wait_for(losing, 1)
    await write(new.open_sessions(engine))
    assert await count_written(sessions) == 2
    await new.release()
    await old.release()


async def test_a_transaction_in_which_the_lead_is_lost_is_rolled_back(migrated_url: str, engine: AsyncEngine) -> None:
    old, new = LeaderLock(migrated_url), LeaderLock(migrated_url)
    assert await old.try_win()
    sessions = old.open_sessions(engine)

    async def write_slowly() -> None:
        async with transaction(sessions) as session:
            await session.execute(WRITE)
            await cut_connections(migrated_url)
            assert await new.try_win()
            await session.execute(WRITE)

    with pytest.raises(NoLongerLeader):
        await write_slowly()
    assert await count_written(sessions) == 0
    await new.release()
    await old.release()


async def test_the_next_leader_wins_only_once_a_commit_of_the_former_one_is_over(
    migrated_url: str, engine: AsyncEngine
) -> None:
    old, new = LeaderLock(migrated_url), LeaderLock(migrated_url)
    assert await old.try_win()
    sessions = old.open_sessions(engine)
    async with sessions() as session:
        await session.execute(WRITE)
        await session.run_sync(lambda sync: sync.dispatch.before_commit(sync))  # the check is over, the commit not yet
        await cut_connections(migrated_url)
        winning = asyncio.create_task(new.try_win())
        await asyncio.sleep(0.5)
        assert not winning.done()
        await session.rollback()
    assert await winning
    await new.release()
    await old.release()


async def test_a_leader_that_comes_back_after_another_one_has_led_does_not_lead(migrated_url: str) -> None:
    old, new = LeaderLock(migrated_url), LeaderLock(migrated_url)
    assert await old.try_win()
    await cut_connections(migrated_url)
    assert await new.try_win()
    await new.release()
    await asyncio.wait_for(old.wait_until_lost(), 5)
    assert old.is_superseded
    assert await old.try_win()
    assert not old.is_superseded
    await old.release()


async def test_the_check_of_a_transaction_that_only_reads_costs_no_row_lock(
    migrated_url: str, engine: AsyncEngine
) -> None:
    leader = LeaderLock(migrated_url)
    assert await leader.try_win()
    async with leader.open_sessions(engine)() as session:
        await session.scalar(COUNT)
        await session.run_sync(lambda sync: sync.dispatch.before_commit(sync))
        assert await session.scalar(text("SELECT pg_current_xact_id_if_assigned()::text")) is None
    await leader.release()


async def test_an_unreachable_database_is_neither_won_nor_an_error() -> None:
    nowhere = LeaderLock("postgresql+asyncpg://sinyal:x@127.0.0.1:9/none")
    assert not await nowhere.try_win()


async def test_what_is_only_pending_is_fenced_as_well(migrated_url: str, engine: AsyncEngine) -> None:
    old, new = LeaderLock(migrated_url), LeaderLock(migrated_url)
    assert await old.try_win()
    sessions = old.open_sessions(engine)
    await cut_connections(migrated_url)
    assert await new.try_win()
    try:
        with pytest.raises(NoLongerLeader):
            async with transaction(sessions) as session:
                session.add(PlanningWatermark(name="pull", upto=utc_now()))
    finally:
        await new.release()
        await old.release()
