"""The job of each holder of a shard that does what the holders of others left to it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from app.judging import propagation, shard_tasks
from app.judging.models import ShardTask
from app.judging.shards import ShardSeat, serialize
from app.postgres.work_signals import Work, WorkSignals
from app.worker.jobs import Job
from app.worker.judging_session import JudgingSessions
from app.worker.recount import recount
from app.worker.registry_refresh import RegistryFollower
from app.worker.rejection import write_in_parts

log = structlog.get_logger()

EVERY_S = 1


@dataclass
class ShardTaskConsumer:
    judging: JudgingSessions
    seat: ShardSeat
    registry: RegistryFollower
    signals: WorkSignals = field(default_factory=WorkSignals)
    write_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def jobs(self) -> list[Job]:
        return [Job("shard_tasks", EVERY_S, self.consume_signalled, may_overrun=True)]

    async def consume_signalled(self) -> None:
        if self.signals.take(Work.SHARDS):
            try:
                await self.consume()
            except Exception:
                self.signals.signal(Work.SHARDS)
                raise

    async def consume(self) -> None:
        """Do all that waits, in its order."""
        while True:
            async with self.judging.sessions() as session:  # only reads
                tasks = await shard_tasks.list_oldest(session, self.seat.shard)
            if not tasks:
                return
            parts: list[Sequence[ShardTask]] = [tasks]
            while parts:
                async with self.write_lock:
                    await write_in_parts(parts, self._do, self._reject)

    async def _do(self, tasks: Sequence[ShardTask]) -> None:
        """Take over the sites among them first; those that belong elsewhere by now are given away at once."""
        taken = [task.site_id for task in tasks if task.site_id is not None and task.kind == "take"]
        if taken:
            await self.judging.take_over(taken)
            await self.registry.judge_taken(taken)
        async with self.judging.transaction() as (session, changes):
            await shard_tasks.delete(session, tasks)
            dirty, blind = shard_tasks.ranges_of(tasks), shard_tasks.blindness_of(tasks)
            if blind:
                await serialize(session)  # before any counter is locked
                await changes.write(session)
            for source, ranges in blind.items():
                dirty += await propagation.affected_by_blindness(session, ranges, source=source)
            await recount(session, (await propagation.rejudge_with_children(session, dirty)).dirty_ranges)

    async def _reject(self, tasks: Sequence[ShardTask], error: Exception) -> None:
        (task,) = tasks
        async with self.judging.transaction() as (session, _):
            await shard_tasks.delete(session, tasks)
        log.error("shard_task_rejected", kind=task.kind, site=task.site_id, error=repr(error), exc_info=error)
