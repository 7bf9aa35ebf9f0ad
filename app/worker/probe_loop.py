"""The probe loop: schedule → sweep → buffer → judge and write. The only bridge between probes and the database."""

from dataclasses import dataclass, field

from app.judging.addressed_block import AddressedBlock
from app.probing.sweeping import Sweeping
from app.probing.write_buffer import excuse_loaded
from app.worker.context import WorkerContext
from app.worker.jobs import Job
from app.worker.speedtest_runner import SpeedtestRunner
from app.worker.writer import BufferWriter


@dataclass
class ProbeLoop:
    """Every second: what is due is swept, what was read is buffered, and what the buffer holds is judged and written.

    What was judged moves the schedule: a first loss is probed again soon, a long outage less often.
    """

    context: WorkerContext
    speedtests: SpeedtestRunner
    writer: BufferWriter
    sweeping: Sweeping = field(init=False)

    def __post_init__(self) -> None:
        self.sweeping = Sweeping(self.context.prober.sweep_block, self.context.counters, self._buffer)

    def jobs(self) -> list[Job]:
        return [Job("probe", 1, self.probe_due), Job("write", 1, self.writer.write_due)]

    async def probe_due(self) -> None:
        """Start a sweep of every probe that is due."""
        self.sweeping.start(self.context.schedule.take(self.context.slot))

    def _buffer(self, block: AddressedBlock, started: float) -> None:
        loaded = self.speedtests.sites_loaded_since(started)
        self.context.buffer.put(excuse_loaded(block, loaded), ended=self.context.clock.now())

    async def finish_sweeps(self) -> None:
        """Wait a little for the sweeps under way: what they read is in the buffer then."""
        await self.sweeping.finish()

    @property
    def probed_until(self) -> int:
        """The slot up to which all that was due is read. For after the last tick."""
        context, unread = self.context, self.sweeping.first_unread
        return min(context.slot, context.schedule.first_due - 1, context.slot if unread is None else unread - 1)

    async def flush(self) -> None:
        """Write all that was read, unless the database does not take it."""
        buffer = self.context.buffer
        buffer.release(self.context.canaries)
        while not buffer.is_empty:
            buffer.give_up_held()  # also those of a sweep that ended since
            if not await self.writer.write():
                return
