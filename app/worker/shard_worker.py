"""A worker that judges a shard without leading: what probers and devices delivered of its sites, and nothing else."""

import asyncio
from dataclasses import dataclass, field

import structlog

from app.core.stopping import completes
from app.judging.shards import ShardSeat
from app.postgres.engine import Sessions, database_url, direct_url, open_engine
from app.postgres.leader_lock import LeaderLock, NoLongerLeader
from app.postgres.work_signals import WorkSignals
from app.settings import Settings
from app.worker.counters import WorkerCounters
from app.worker.jobs import Job, start_jobs
from app.worker.judging_session import JudgingSessions
from app.worker.prober_consumer import ProberConsumer
from app.worker.shard_pushes import ShardPushes
from app.worker.shard_registry import ShardRegistry
from app.worker.shard_seats import ShardSeats
from app.worker.shard_tasks_job import ShardTaskConsumer

log = structlog.get_logger()

WRITE_EVERY_S = 1


@dataclass
class ShardWorker:
    """The jobs of one holder of a shard."""

    sessions: Sessions  # their commits fail once another holds the shard
    settings: Settings
    seat: ShardSeat
    signals: WorkSignals
    counters: WorkerCounters = field(default_factory=WorkerCounters)
    write_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.judging = JudgingSessions(self.sessions, self.settings.status.refresh_s, self.seat)
        self.registry = ShardRegistry(self.judging, self.signals, self.write_lock)
        self.tasks = ShardTaskConsumer(self.judging, self.seat, self.registry, self.signals, self.write_lock)
        self.probers = ProberConsumer(self.judging, self.counters, self.signals, self.write_lock)
        self.pushes = ShardPushes(self.judging, self.settings, self.counters, self.signals, self.write_lock)

    def jobs(self) -> list[Job]:
        return [
            *self.tasks.jobs(),
            *self.probers.jobs(),
            *self.pushes.jobs(),
            *self.registry.jobs(),
            Job("write_moved", WRITE_EVERY_S, self.write_moved, may_overrun=True),
        ]

    async def start(self) -> None:
        """Load what is known of its sites, and judge what was stored and not judged by the holder before."""
        async with self.write_lock, self.judging.transaction():
            pass
        await self.registry.refresh()
        log.info("shard_taken", shard=self.seat.shard, sites=len(self.seat))

    async def write_moved(self, *, at_once: bool = False) -> None:
        async with self.write_lock:
            await self.judging.write_moved(at_once=at_once)

    async def run(self, lock: LeaderLock, until: asyncio.Event) -> None:
        """Until another one holds the shard, or `until`; then what steady sites came to is written."""
        scheduler = start_jobs(self.jobs(), self.counters)
        try:
            await completes(lock.wait_until_lost(), until)
        finally:
            scheduler.pause()
            if not lock.is_superseded:
                await self._write_last()
            scheduler.shutdown(wait=False)
            log.info("shard_given_up", shard=self.seat.shard)

    async def _write_last(self) -> None:
        try:
            await self.write_moved(at_once=True)
        except Exception as error:
            log.warning("carry_not_written", shard=self.seat.shard, error=repr(error))


async def take_seats(settings: Settings, leading: asyncio.Event, stop: asyncio.Event) -> None:
    """Judge this worker's share of the shards until `stop`. With one shard there is none to share."""
    if settings.judging_shards == 1:
        return

    async def judge(lock: LeaderLock, shard: int, shards: int, until: asyncio.Event) -> None:
        engine = open_engine(database_url(settings), name=f"shard {shard}", pool_size=2, pooled=settings.is_pooled)
        try:
            worker = ShardWorker(lock.open_sessions(engine), settings, ShardSeat(shard, shards), lock.signals)
            if await completes(_start(worker), until):
                await worker.run(lock, until)
        except NoLongerLeader:
            log.warning("shard_lost", shard=shard)
        finally:
            lock.abandon()
            await engine.dispose()

    await ShardSeats(direct_url(settings), judge, leading.is_set).run(stop)


async def _start(worker: ShardWorker) -> None:
    """Try until it succeeds. Raises NoLongerLeader."""
    while True:
        try:
            return await worker.start()
        except NoLongerLeader:
            raise
        except Exception as error:
            log.warning("start_failed", shard=worker.seat.shard, error=repr(error), exc_info=error)
            await asyncio.sleep(1)
