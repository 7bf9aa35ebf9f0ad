"""The job that judges what probers delivered, out of their inbox, in the order of receipt."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce

import numpy as np
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, utc_now
from app.judging.addressed_block import AddressedBlock
from app.judging.canary_evidence import CanaryLog
from app.judging.carry_table import CarryChanges
from app.judging.ingest import JudgedSite
from app.judging.mass_outage import NO_CANARIES
from app.judging.rejudge import rejudgeable_since
from app.judging.shards import LEADERS
from app.measurements import partitions
from app.postgres.engine import transaction
from app.postgres.leader_lock import NoLongerLeader
from app.postgres.work_signals import Work, WorkSignals
from app.probing.write_buffer import LARGEST_BATCH, BufferBatch
from app.vantages import inbox
from app.vantages.inbox import InboxBlock
from app.vantages.led_blocks import canaries_of
from app.worker.counters import WorkerCounters
from app.worker.jobs import Job
from app.worker.judging_session import JudgingSessions
from app.worker.rejection import is_entrys_fault
from app.worker.shard_routing import pass_on
from app.worker.waiting_looks import judge_waiting_looks
from app.worker.writer import write_round

log = structlog.get_logger()

EVERY_S = 1
# Blocks a transaction, and readings in them but for the last one's: were all of them news, a second or two of judging.
MOST, MOST_READINGS = 200, LARGEST_BATCH
SWEEP_S = 30.0  # between looks at incidents while no site changes
BACK = timedelta(days=partitions.BACK_DAYS - 1)  # partitions are there
RECENT = timedelta(hours=20)  # younger readings are kept, and judged anew if need be, whatever the settings


@dataclass
class ProberConsumer:
    """Each step is one transaction: the blocks leave the inbox with what is judged of them."""

    judging: JudgingSessions
    counters: WorkerCounters
    signals: WorkSignals = field(default_factory=WorkSignals)
    write_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    on_judged: Callable[[Sequence[JudgedSite]], None] = lambda _: None
    _most: int = MOST
    _is_failing: bool = False
    _swept_at: float = float("-inf")  # by the monotonic clock

    def jobs(self) -> list[Job]:
        return [
            Job("probers", EVERY_S, self.consume_signalled, may_overrun=True),
            Job("waiting_looks", EVERY_S, self.judge_waiting, may_overrun=True),
        ]

    async def start(self, session: AsyncSession) -> None:
        """Try again what was set aside: this version may know better."""
        await inbox.requeue_set_aside(session)

    async def consume_signalled(self) -> None:
        """Consume once something was delivered; else the database is not asked."""
        if not (self.signals.take(Work.PROBERS) or self._is_failing):
            return
        try:
            await self.consume()
        except Exception:
            self.signals.signal(Work.PROBERS)
            raise

    async def judge_waiting(self) -> None:
        """Judge sites that several vantages look at; the database is not asked unless some are due."""
        if self.judging.waits.due(utc_now(), most=1):
            async with self.write_lock:
                await judge_waiting_looks(self.judging)

    async def consume(self) -> None:
        """Judge all that waits in the inbox. The lock is free between two steps."""
        more = True
        while more:
            async with self.write_lock:
                judged, more = await self.step()
                judged += await judge_waiting_looks(self.judging)
            self.on_judged(judged)

    async def step(self) -> tuple[list[JudgedSite], bool]:
        """Judge the oldest blocks. Return the sites judged, and whether there may be more blocks."""
        blocks, now, is_sweep = list[InboxBlock](), utc_now(), time.monotonic() - self._swept_at >= SWEEP_S
        try:
            async with self.judging.transaction() as (session, changes):
                blocks = await self._dequeue(session)
                judged = await self._judge(session, changes, blocks, is_sweep) if blocks else []
        except Exception as error:
            return [], await self._handle_failure(blocks, error)
        is_full = len(blocks) >= self._most or sum(block.readings for block in blocks) >= MOST_READINGS
        self._most, self._is_failing = MOST, False
        self._swept_at = time.monotonic() if is_sweep and blocks else self._swept_at
        self._count(blocks, changes, now)
        return judged, is_full

    async def _dequeue(self, session: AsyncSession) -> list[InboxBlock]:
        """The leader takes what lies beyond the last shard too: an api that knew of more shards put it there."""
        seat = self.judging.seat
        shard, shards = (LEADERS, 1) if seat is None else (seat.shard, seat.shards)
        beyond = shards if shard == LEADERS else inbox.NO_SHARD
        return await inbox.dequeue(session, limit=self._most, most_readings=MOST_READINGS, shard=shard, beyond=beyond)

    async def _judge(
        self, session: AsyncSession, changes: CarryChanges, blocks: Sequence[InboxBlock], is_sweep: bool
    ) -> list[JudgedSite]:
        own = [await pass_on(session, waiting, waiting.block()) for waiting in blocks]
        canaries = reduce(CanaryLog.merged_with, map(canaries_of, blocks))
        block = await self._without_closed(session, AddressedBlock.concat(own))
        return await judge_delivered(session, changes, block, canaries=canaries, is_sweep=is_sweep)

    async def _without_closed(self, session: AsyncSession, block: AddressedBlock) -> AddressedBlock:
        """Return the readings of times that are still judged; the days of the others were closed long ago."""
        slots = block.readings.slot
        if slots.min(initial=np.iinfo(np.int64).max) >= (utc_now() - RECENT).timestamp():
            return block
        closed = slots < (await rejudgeable_since(session)).timestamp()
        if closed.any():
            self.counters.closed_rows += int(closed.sum())
            log.warning("delivered_too_late", readings=int(closed.sum()), why="older than the raw readings kept")
        await _make_partitions(session, slots[~closed])
        return block.take(~closed)

    def _count(self, blocks: Sequence[InboxBlock], changes: CarryChanges, now: datetime) -> None:
        """Count what a step committed."""
        self.counters.prober_blocks += len(blocks)
        self.counters.prober_readings += sum(block.readings for block in blocks)
        self.counters.judged_at_once += changes.judged_at_once
        latency = now - blocks[0].received_at if blocks else timedelta()
        self.counters.prober_inbox_age_seconds = max(0, int(latency.total_seconds()))

    async def _handle_failure(self, blocks: Sequence[InboxBlock], error: Exception) -> bool:
        """Halve the step, then its block, to find the reading at fault. Return whether to go on at once."""
        self.counters.failed_intakes += 1
        if not blocks or not is_entrys_fault(error):
            if not self._is_failing and not isinstance(error, NoLongerLeader):
                log.warning("prober_inbox_unavailable", error=repr(error))
            self._is_failing = True
            return False
        if len(blocks) > 1:
            self._most = len(blocks) // 2
        else:
            await self._isolate(blocks[0], error)
        return True

    async def _isolate(self, block: InboxBlock, error: Exception) -> None:
        """Set a block aside that cannot be read, or holds but one reading; else put back its halves."""
        async with transaction(self.judging.sessions) as session:
            if await inbox.split(session, block):
                return
            await inbox.set_aside(session, block.id)
        log.error("prober_block_rejected", block=block.id, prober=block.prober_id, error=repr(error), exc_info=error)
        self.counters.refused_prober_blocks += 1
        self._most = MOST


async def judge_delivered(
    session: AsyncSession,
    changes: CarryChanges,
    block: AddressedBlock,
    *,
    canaries: CanaryLog = NO_CANARIES,
    is_sweep: bool = True,
) -> list[JudgedSite]:
    """Judge and record readings of probers that run by themselves, as those of the built-in one.

    What a prober lost while it was blind comes as faults. No canary of ours says whether it could see: sites lost with
    many others wait for its next look. Only of our own looks, which the leading worker left to us, the canaries do.
    """
    return await write_round(session, changes, BufferBatch((), block), canaries=canaries, is_sweep=is_sweep)


async def _make_partitions(session: AsyncSession, slots: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """For readings that waited long in a spool and here."""
    odd = np.unique(slots[slots < (utc_now() - BACK).timestamp()])
    if len(odd):
        await partitions.create_for(session, {from_slot(slot) for slot in odd.tolist()})
