"""The probe loop: schedule → sweep → buffer → judge and write. The only bridge between probes and the database."""

import asyncio
import time
from dataclasses import dataclass, field

from app.judging.addressed_block import AddressedBlock
from app.probing.schedule import DueProbes
from app.probing.write_buffer import excuse_loaded
from app.worker.context import WorkerContext
from app.worker.jobs import Job
from app.worker.speedtest_runner import SpeedtestRunner
from app.worker.writer import BufferWriter
from probes.reading_block import FAULT, ReadingBlock

OVERRUN_S = 2.0  # a sweep that takes so much longer than its packets is an overrun
LAST_SWEEPS_S = 3.0  # at an orderly end, which the supervisor gives 6 s in all


@dataclass
class ProbeLoop:
    """Every second: what is due is swept, what was read is buffered, and what the buffer holds is judged and written.

    What was judged moves the schedule: a first loss is probed again soon, a long outage less often.
    """

    context: WorkerContext
    speedtests: SpeedtestRunner
    writer: BufferWriter
    _sweeps: set[asyncio.Task[None]] = field(default_factory=set)

    def jobs(self) -> list[Job]:
        return [Job("probe", 1, self.probe_due), Job("write", 1, self.writer.write_due)]

    async def probe_due(self) -> None:
        """Start a sweep of every probe that is due; it ends by itself, beside many others."""
        due = self.context.schedule.take(self.context.slot)
        if len(due):
            self.context.counters.rounds += 1
            sweep = asyncio.create_task(self._sweep(due))
            self._sweeps.add(sweep)
            sweep.add_done_callback(self._sweeps.discard)

    async def _sweep(self, due: DueProbes) -> None:
        context, started = self.context, time.monotonic()
        readings = await context.prober.sweep_block(due.targets)
        self._count(readings, time.monotonic() - started, due.targets.longest_s())
        loaded = self.speedtests.sites_loaded_since(started)
        block = AddressedBlock(readings, due.addressed_at)
        context.buffer.put(excuse_loaded(block, loaded), ended=context.clock.now())

    def _count(self, readings: ReadingBlock, took_s: float, longest_s: float) -> None:
        counters = self.context.counters
        counters.overruns += took_s > longest_s + OVERRUN_S
        counters.sweep_seconds = round(took_s, 3)
        counters.sweep_late_seconds = round(max(0.0, took_s - longest_s), 3)
        counters.readings += len(readings)
        counters.faults += int((readings.outcome == FAULT).sum())

    async def finish_sweeps(self) -> None:
        """Wait a little for the sweeps under way: what they read is in the buffer then."""
        if self._sweeps:
            await asyncio.wait(self._sweeps, timeout=LAST_SWEEPS_S)

    async def flush(self) -> None:
        """Write all that was read, unless the database does not take it."""
        buffer = self.context.buffer
        buffer.release(self.context.canaries)
        while not buffer.is_empty:
            buffer.give_up_held()  # also those of a sweep that ended since
            if not await self.writer.write():
                return
