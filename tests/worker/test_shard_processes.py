"""Two real `sinyal worker` processes with a shard each, of which one is killed while readings arrive."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, to_slot, utc_now
from app.judging.addressed_block import AddressedBlock
from app.judging.mass_outage import NO_CANARIES
from app.postgres.engine import open_engine, open_sessions, transaction
from app.vantages import inbox
from app.vantages.led_blocks import pack
from probes.contract import VANTAGES, Reading
from tests.benchmarks.scale_registry import fill
from tests.support.killing import Forks
from tests.support.rejudged_village import Village, assert_same
from tests.support.shard_holders import ShardHolders
from tests.worker.conftest import connect

MINUTES = 50
SITES = 8
TREES = (
    "UPDATE site SET kind = 'node' WHERE id IN (1, 4)",
    "UPDATE site SET parent_id = 1 WHERE id IN (2, 3)",
    "UPDATE site SET parent_id = 4 WHERE id IN (5, 6)",
    "UPDATE site_configuration c SET parent_id = s.parent_id, kind = s.kind FROM site s WHERE s.id = c.site_id",
    "UPDATE site SET vantages = '{1}', technology = 'fiber'",  # nothing is probed from here
    "UPDATE site_configuration SET vantages = '{1}', technology = 'fiber'",
)
BACKDATE = (
    "UPDATE site SET addressed_at = '{start}', created_at = '{start}'",
    "UPDATE site_status SET addressed_at = '{start}', since = '{start}'",
    "UPDATE site_configuration SET started_at = '{start}', addressed_at = '{start}'",
)
WAITING = "SELECT count(*) FROM prober_inbox"
SHARDS = "SELECT array_agg(DISTINCT shard ORDER BY shard) FROM site_status"
READINGS = "SELECT count(*) AS readings, count(DISTINCT (site_id, slot)) AS distinct FROM measurement"


@pytest.fixture
def workers(tmp_path: Path, migrated_url: str) -> Iterator["Workers"]:
    forks = Forks("app.worker.process")
    workers = Workers(forks, migrated_url, tmp_path)
    yield workers
    workers.close()
    forks.close()


class Workers:
    def __init__(self, forks: Forks, url: str, folder: Path) -> None:
        self._forks, self._folder, self._pids = forks, folder, list[int]()
        self.environment = os.environ | {
            "SINYAL_DATABASE_URL": url,
            "SINYAL_DATA_DIR": str(folder),
            "SINYAL_JUDGING_SHARDS": "2",
            "SINYAL_CANARIES": "",
        }

    def start(self) -> int:
        self._pids.append(self._forks.start(["worker"], self.environment, self._folder / "workers.log"))
        return self._pids[-1]

    async def end(self, pid: int) -> None:
        """In order."""
        os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(120):
            while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110, ASYNC240  # another's child
                await asyncio.sleep(0.05)

    async def logged(self, event: str, times: int) -> bool:
        return self.log.count(event) >= times

    def close(self) -> None:
        for pid in self._pids:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        """Made by the first of them, a little after it was started."""
        file = self._folder / "workers.log"
        return file.read_text() if file.exists() else ""


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(migrated_url)
    yield connection
    await connection.close()


async def until(is_true: Callable[[], Awaitable[bool]], within_s: float = 180) -> None:
    async with asyncio.timeout(within_s):
        while not await is_true():  # noqa: ASYNC110  # other processes raise no event
            await asyncio.sleep(0.1)


async def enqueue(session: AsyncSession, village: Village, readings: list[Reading], random: Random) -> None:
    """As ingest does, and half of them for the wrong shard: as if it had not heard of a move yet."""
    shards = [random.randrange(2) for _ in readings]
    for shard in (0, 1):
        part = [reading for reading, place in zip(readings, shards, strict=True) if place == shard]
        if part:
            block = AddressedBlock.of((reading, village.start) for reading in part)
            packed = pack(block, NO_CANARIES, shard=shard)
            await inbox.enqueue(session, [packed], prober_id=None, vantage=1, received_at=utc_now())


async def test_a_holder_is_killed_and_another_goes_on_without_a_lost_or_doubled_reading(
    migrated_url: str, database: asyncpg.Connection, workers: Workers
) -> None:
    """Afterwards the sites are shared among three, by a leader that starts with this setting."""
    start = floor_second(utc_now()) - timedelta(minutes=MINUTES + 5)
    await fill(migrated_url, SITES, [*TREES, *(statement.format(start=start) for statement in BACKDATE)])
    engine = open_engine(migrated_url, name="test")
    village, random = Village(open_sessions(engine), range(1, SITES + 1), start, Random(3)), Random(4)
    end = to_slot(start) + 60 * MINUTES
    readings = [replace(r, source=VANTAGES[1]) for r in village.random_readings() if r.slot < end]
    leader = workers.start()
    await until(lambda: workers.logged("shard_taken", 1))
    second = workers.start()
    await until(lambda: workers.logged("shard_taken", 2))  # the leading one gave it up
    for minute in range(MINUTES):
        first = to_slot(start) + 60 * minute
        arrived = [reading for reading in readings if first <= reading.slot < first + 60]
        async with transaction(village.sessions) as session:
            await enqueue(session, village, sorted(arrived, key=lambda reading: reading.slot), random)
        if minute == MINUTES // 2:
            os.kill(second, signal.SIGKILL)
        await asyncio.sleep(0.05)

    async def is_judged() -> bool:
        return not await database.fetchval(WAITING)

    await until(is_judged)
    assert await workers.logged("shard_taken", 3)
    await workers.end(leader)
    (counted,) = await database.fetch(READINGS)
    assert (counted["readings"], counted["distinct"]) == (len(readings), len(readings)), workers.log
    workers.environment["SINYAL_JUDGING_SHARDS"] = "3"
    leader = workers.start()
    await until(lambda: workers.logged("shards_changed", 2))
    assert (await database.fetchval(SHARDS)) == [0, 2]
    await workers.end(leader)
    expected = await village.expected(readings)
    assert_same(await ShardHolders(village, 1, random).stored(), expected)
    await engine.dispose()
