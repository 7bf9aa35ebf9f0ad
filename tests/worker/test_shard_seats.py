"""Which worker judges which shard, on a real PostgreSQL with connections that are really cut."""

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg
import pytest
from sqlalchemy import text

from app.judging import shards
from app.judging.shards import ShardSeat
from app.postgres.engine import open_engine, open_sessions, transaction
from app.postgres.leader_lock import LeaderLock, NoLongerLeader
from app.postgres.leadership import ShardLeadership
from app.worker.judging_session import JudgingSessions
from app.worker.resharding import CHANGING
from app.worker.shard_seats import ShardSeats, fair_share
from tests.worker.conftest import connect

CUT = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name LIKE $1 AND datname = current_database()
"""
WRITE = text("INSERT INTO push_inbox (site_id, received_at, rows) VALUES (NULL, now(), '[]')")


class Colleague:
    """A worker that holds its shards' locks and judges nothing."""

    def __init__(self, url: str, *, leads: bool = False) -> None:
        self.held: set[int] = set()
        self.seats, self.stop = ShardSeats(url, self._judge, lambda: leads), asyncio.Event()
        self.running = asyncio.create_task(self.seats.run(self.stop))

    async def _judge(self, lock: LeaderLock, shard: int, count: int, until: asyncio.Event) -> None:
        self.held.add(shard)
        lost = asyncio.ensure_future(lock.wait_until_lost())
        waiting = asyncio.ensure_future(until.wait())
        await asyncio.wait({lost, waiting}, return_when=asyncio.FIRST_COMPLETED)
        self.held.discard(shard)
        for task in (lost, waiting):
            task.cancel()
        lock.abandon()

    async def die(self) -> None:
        """As by kill -9: every connection ends, and nothing is said."""
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running

    async def end(self) -> None:
        self.stop.set()
        await self.running


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not is_true():  # noqa: ASYNC110  # locks raise no event
            await asyncio.sleep(0.05)


@pytest.fixture
async def sharded_url(migrated_url: str) -> str:
    """Of a database in which three shards are judged."""
    engine = open_engine(migrated_url, name="test")
    async with transaction(open_sessions(engine)) as session:
        await shards.write_shards(session, 3)
    await engine.dispose()
    return migrated_url


async def set_shards(url: str, count: int) -> None:
    connection = await connect(url)
    await connection.execute("UPDATE change_counter SET version = $1 WHERE name = 'judging-shards'", count)
    await connection.close()


async def test_workers_share_the_shards_and_another_goes_on_where_one_ends(sharded_url: str) -> None:
    leader = Colleague(sharded_url, leads=True)
    await until(lambda: leader.held == {1, 2})
    second = Colleague(sharded_url)
    await until(lambda: len(leader.held) == 1 and len(second.held) == 1)
    third = Colleague(sharded_url)
    await until(lambda: not leader.held and second.held | third.held == {1, 2})
    await second.die()
    await until(lambda: leader.held | third.held == {1, 2} and bool(third.held))
    await set_shards(sharded_url, CHANGING)  # while their number is changed nobody holds any
    await until(lambda: not leader.held | third.held)
    await third.end()
    await leader.end()


async def test_after_another_worker_took_a_shard_its_former_holder_writes_nothing(sharded_url: str) -> None:
    old, new = (LeaderLock(sharded_url, ShardLeadership(2)) for _ in range(2))
    other = LeaderLock(sharded_url, ShardLeadership(1))
    engine = open_engine(sharded_url, name="test")
    assert await old.try_win()
    assert await other.try_win(), "each shard has a lock of its own"
    sessions, administrator = old.open_sessions(engine), await connect(sharded_url)
    async with transaction(sessions) as session:
        await session.execute(WRITE)
    await administrator.execute(CUT, "sinyal shard 2 lock")
    assert await new.try_win()
    with pytest.raises(NoLongerLeader):
        async with transaction(sessions) as session:
            await session.execute(WRITE)
    async with transaction(other.open_sessions(engine)) as session:
        await session.execute(WRITE)
    assert await count(administrator) == 2
    for lock in (old, new, other):
        await lock.release()
    await administrator.close()
    await engine.dispose()


async def count(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM push_inbox"))


def test_the_leaders_shard_counts_as_a_share_of_its_own() -> None:
    assert [fair_share(1, 1, leads=True), fair_share(1, 2, leads=False)] == [0, 1]
    assert [fair_share(3, 1, leads=True), fair_share(3, 2, leads=True), fair_share(3, 3, leads=True)] == [2, 1, 0]
    assert [fair_share(3, 2, leads=False), fair_share(3, 3, leads=False), fair_share(0, 3, leads=False)] == [2, 1, 0]


async def write_serialized(judging: JudgingSessions) -> None:
    async with judging.transaction() as (session, _):
        await session.execute(WRITE)
        await shards.serialize(session)


async def test_who_waits_for_another_shard_too_long_tries_again_and_keeps_what_it_knows(
    sharded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LONGEST_WAIT", "200ms")
    engine = open_engine(sharded_url, name="test")
    first, second = (JudgingSessions(open_sessions(engine), seat=ShardSeat(shard, 3)) for shard in (1, 2))
    async with second.transaction():
        pass
    async with first.transaction() as (judging, _):
        await shards.serialize(judging)
        with pytest.raises(shards.ShardsBusy):
            await write_serialized(second)
    assert second.is_loaded
    async with second.transaction() as (judging, _):
        await shards.serialize(judging)
        assert await judging.scalar(text("SELECT count(*) FROM push_inbox")) == 0
        assert await judging.scalar(text("SELECT current_setting('lock_timeout')")) == "0"
    await engine.dispose()
