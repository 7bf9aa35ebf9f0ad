"""The write pipeline: what the buffer holds is judged and written with the worker's beat, one transaction a batch."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, utc_now
from app.judging import claim_store, ingest, propagation
from app.judging.addressed_block import AddressedReading
from app.judging.blind_ranges import BlindRange
from app.judging.canary_evidence import CanaryLog
from app.judging.carry_table import CarryChanges
from app.judging.claims import Claim
from app.judging.dirty_range import DirtyRange
from app.judging.ingest import IngestResult, JudgedSite
from app.judging.mass_outage import NO_CANARIES
from app.judging.models import WorkerBeat
from app.latency import rollup
from app.measurements import partitions
from app.postgres.engine import is_unavailable, transaction
from app.postgres.leader_lock import NoLongerLeader
from app.probing.write_buffer import BufferBatch
from app.vantages import blindness
from app.worker.clock_watch import ClockStep, ClockWatch
from app.worker.context import WorkerContext
from app.worker.recount import recount, recount_ingested
from app.worker.rejection import is_entrys_fault, write_in_parts
from app.worker.shard_routing import ShardRouting
from app.worker.steady_readings import record_steady
from probes.contract import CENTRAL

log = structlog.get_logger()

HANDED_OVER = "probed_until"  # a figure of a worker's last beat
IDLE_BEAT_S = 5.0
SWEEP_S = 30.0  # between looks at incidents while no site changes
BATCH_DELAY_S = 5.0  # readings without news wait so long for more: a write costs little more for many

BEAT = text("""
    INSERT INTO worker_beat (source, beat_at, started_at, blind_since, figures)
    VALUES (:source, :now, :started_at, :blind_since, cast(:figures AS jsonb))
    ON CONFLICT (source) DO UPDATE SET beat_at = excluded.beat_at, started_at = excluded.started_at,
        blind_since = excluded.blind_since, figures = excluded.figures
""")


@dataclass
class BufferWriter:
    context: WorkerContext
    clock_watch: ClockWatch
    routing: ShardRouting = field(default_factory=ShardRouting)
    last_write: float = float("-inf")  # by the monotonic clock
    last_sweep: float = float("-inf")
    is_failing: bool = False  # the last attempt left something unwritten

    async def write_due(self) -> None:
        """Write at once when something may have changed, and every few seconds when nothing has."""
        buffer = self.context.buffer
        buffer.release(self.context.canaries)
        waited = time.monotonic() - self.last_write >= min(BATCH_DELAY_S, self.context.judging.every_s)
        if self.is_failing or waited or buffer.has_news(self.context.schedule.expected_outcomes):
            await self.write()

    async def write(self) -> bool:
        """Write what the buffer holds, and the beat; the schedule follows what was judged. Return False on failure.

        1. Correct the database where the clock was set back since.
        2. Take blind ranges and readings out of the buffer.
        3. Judge and write them, and the beat, in one transaction; reject what is poison, and write the rest.
        4. Put back what was not written: while the database is unavailable nothing is lost.
        """
        context, judged = self.context, list[JudgedSite]()
        failure: Exception | None = None

        async def write_part(part: BufferBatch) -> None:
            judged.extend(await self._write_part(part))
            judged.extend(context.own_looks.follow(part.block.readings, context.schedule))

        async with context.write_lock:
            context.buffer.release(context.canaries)
            parts = [context.buffer.take()]
            if not len(parts[0]) and time.monotonic() - self.last_write < IDLE_BEAT_S:
                return True
            try:
                if self.clock_watch.uncorrected is not None:
                    await self._correct_clock(self.clock_watch.uncorrected)
                await write_in_parts(parts, write_part, self._reject)
                await context.judging.write_moved()
            except Exception as error:
                failure = error
            finally:
                context.buffer.give_back(parts)
        self._log_change(failure)
        self.is_failing = bool(parts)
        context.schedule.follow(judged, now=context.slot)
        return failure is None

    async def write_moved(self) -> None:
        """At an orderly end: write what steady sites have come to, unless the database does not take it."""
        try:
            async with self.context.write_lock:
                await self.context.judging.write_moved(at_once=True)
        except Exception as error:
            log.warning("carry_not_written", error=repr(error))

    async def write_handover(self, probed_until: int) -> None:
        """At an orderly end: tell the next worker from when on nobody probed, unless the database does not take it."""
        try:
            async with self.context.write_lock, transaction(self.context.sessions) as session:
                await self._write_beat(session, {HANDED_OVER: probed_until})
        except Exception as error:
            log.warning("handover_not_written", error=repr(error))

    async def _correct_clock(self, step: ClockStep) -> None:
        """Make partitions for the new present, and drop what was read in a future that is none any more."""
        async with transaction(self.context.sessions) as session:
            await partitions.create_ahead(session, utc_now())
        try:
            async with self.context.judging.transaction() as (session, _):
                if step.set_back_to is not None:
                    rejudged = propagation.rejudge_after_clock_set_back(session, step.set_back_to, by=step.set_back_by)
                    await recount(session, await rejudged)
        except Exception as error:
            self.context.counters.failed_writes += 1
            if not is_entrys_fault(error):
                raise
            log.error("clock_correction_rejected", set_back_to=str(step.set_back_to), exc_info=error)
        self.clock_watch.mark_corrected(step)

    async def _write_part(self, part: BufferBatch) -> list[JudgedSite]:
        context = self.context
        is_sweep = time.monotonic() - self.last_sweep >= SWEEP_S
        try:
            async with context.judging.transaction() as (session, changes):
                block = await self.routing.keep_own(session, part.block, context.canaries.log)
                own = BufferBatch(await blindness.of_whole_vantage(session, part.blind), block)
                judged = await write_round(session, changes, own, canaries=context.canaries.log, is_sweep=is_sweep)
                await self._write_beat(session)
        except Exception:
            context.counters.failed_writes += 1
            raise
        context.counters.writes += 1
        context.counters.judged_at_once += changes.judged_at_once
        self.last_write = time.monotonic()
        self.last_sweep = self.last_write if is_sweep else self.last_sweep
        return judged

    async def _reject(self, part: BufferBatch, error: Exception) -> None:
        """Drop its one entry, provided that the beat alone can be written. Raises what keeps that from it."""
        await self._write_part(part[:0])
        for blind in part.blind:
            self.context.counters.dropped_blind_ranges += 1
            log.error("blind_range_rejected", range=str(blind), error=repr(error), exc_info=error)
        for reading in part.block.readings.readings():
            self.context.buffer.dropped += 1
            log.error("reading_rejected", site=reading.key, slot=reading.slot, error=repr(error), exc_info=error)

    async def _write_beat(self, session: AsyncSession, more: Mapping[str, int] = {}) -> None:
        blind_since = self.context.canaries.blind_since
        await write_beat(
            session,
            now=utc_now(),
            started_at=self.context.started_at,
            blind_since=from_slot(int(blind_since)) if blind_since is not None else None,
            figures={**self.context.current_counters().as_dict(), **more},
        )

    def _log_change(self, failure: Exception | None) -> None:
        """Log when writing begins to fail and when it succeeds again."""
        buffered = len(self.context.buffer)
        if failure is None:
            if self.is_failing:
                log.info("write_succeeded", buffered=buffered)
        elif self.is_failing or isinstance(failure, NoLongerLeader):
            return
        elif is_unavailable(failure):
            log.warning("database_unavailable", error=repr(failure), buffered=buffered)
        else:
            log.error("write_failed", error=repr(failure), buffered=buffered, exc_info=failure)


async def write_round(
    session: AsyncSession,
    changes: CarryChanges,
    part: BufferBatch,
    *,
    canaries: CanaryLog = NO_CANARIES,
    is_sweep: bool = True,
) -> list[JudgedSite]:
    """Judge and record looks of ours or of a prober: at once where nothing changes, the rest by `write_batch`.

    `is_sweep`: incidents are looked at even if nothing changes, for what waits for that.
    """
    others, dirty = part.block, list[DirtyRange]()
    if not part.blind:  # which bear on all readings
        steady, others = changes.table.judge_steady(part.block)
        dirty = await record_steady(session, steady, changes, is_sweep=is_sweep)
    return await write_batch(session, others.items(), part.blind, canaries=canaries, dirty=dirty)


async def write_batch(
    session: AsyncSession,
    items: Sequence[AddressedReading],
    blind: Sequence[BlindRange],
    *,
    source: str = CENTRAL,
    canaries: CanaryLog = NO_CANARIES,
    claims: Sequence[Claim] = (),
    dirty: Sequence[DirtyRange] = (),
) -> list[JudgedSite]:
    """Judge and record readings and blind ranges (of `source`), and claims; recount all that follows from them.

    `dirty`: what else is to be recounted.
    """
    result, claimed = IngestResult(), list[DirtyRange]()
    if items or blind:
        result = await ingest.ingest_readings(session, items, blind, source=source, canaries=canaries)
        claimed = await claim_store.record(session, claims, (reading for reading, _ in items))
    await recount_ingested(session, result, [*claimed, *dirty])
    for recorded in result.blind if source == CENTRAL else ():  # a missed push has no packets to be recounted
        await rollup.invalidate(session, recorded.started_at, recorded.ended_at)
    return result.judged


async def last_beat(session: AsyncSession) -> WorkerBeat | None:
    return await session.scalar(select(WorkerBeat).where(WorkerBeat.source == CENTRAL))


async def write_beat(
    session: AsyncSession,
    *,
    now: datetime,
    started_at: datetime,
    blind_since: datetime | None,
    figures: dict[str, Any],
    source: str = CENTRAL,
) -> None:
    await session.execute(
        BEAT,
        {
            "source": source,
            "now": now,
            "started_at": started_at,
            "blind_since": blind_since,
            "figures": orjson.dumps(figures).decode(),
        },
    )
