"""Detects steps of the wall clock, and that this process itself stood still: either stretch is blind.

What is stored with a wrong time is corrected. A process that stands still (frozen, or blocked) looks as little as one
that does not run.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from app.core.clock import from_slot
from app.judging.blind_ranges import BlindRange
from app.probing.schedule import LATEST_START_S
from app.worker.context import WorkerContext

log = structlog.get_logger()

STEP_TOLERANCE_S = 1.0
EVERY_S = 1.0
STALL_TOLERANCE_S = EVERY_S + LATEST_START_S  # a longer one costs slots


@dataclass(frozen=True, slots=True)
class ClockStep:
    """What the database is to be corrected for. `set_back_to` None: the clock was set ahead."""

    generation: int  # of the clock: one more with every step
    set_back_to: datetime | None = None
    set_back_by: timedelta = timedelta()


@dataclass
class ClockWatch:
    context: WorkerContext
    generation: int = 0
    uncorrected: ClockStep | None = None

    async def run(self, on_step: Callable[[], None], on_stall: Callable[[datetime], None]) -> None:
        """Check every second; no job: set back, the scheduler itself would wait for the wall clock to catch up.

        `on_stall` receives when this process went on.
        """
        while True:
            checked_at = self.context.clock.now()
            await asyncio.sleep(EVERY_S)
            if self.check_stall(checked_at):
                on_stall(from_slot(self.context.slot))
            if self.check():
                on_step()

    def check_stall(self, checked_at: float) -> bool:
        """Whether this process stood still since `checked_at`, by the slot clock: then nothing was looked at."""
        now = self.context.clock.now()
        if now - checked_at <= STALL_TOLERANCE_S:
            return False
        self.context.buffer.put_blind(BlindRange(from_slot(int(checked_at)), from_slot(int(now) + 1), "stopped"))
        log.warning("worker_stalled", seconds=round(now - checked_at, 1))
        return True

    def check(self) -> bool:
        """Whether the wall clock was stepped since the last check."""
        context, clock = self.context, self.context.clock
        step_s = clock.step_s()
        if abs(step_s) <= STEP_TOLERANCE_S:
            return False
        before = context.slot
        clock.reanchor()
        after = context.slot
        context.buffer.put_blind(BlindRange(from_slot(min(before, after)), from_slot(max(before, after) + 1), "clock"))
        context.counters.clock_steps += 1
        self.generation += 1
        step = self.uncorrected or ClockStep(self.generation)
        if after < before:
            by = step.set_back_by + timedelta(seconds=before - after)
            step = replace(step, set_back_to=from_slot(after), set_back_by=by)
            self._step_back(before, after)
        self.uncorrected = replace(step, generation=self.generation)
        context.schedule.restart(after)
        log.warning("clock_stepped", seconds=round(step_s, 1))
        return True

    def _step_back(self, before: int, after: int) -> None:
        self.context.counters.repeated_slots += before - after
        self.context.canaries.step_back(float(after))
        self.context.buffer.give_up_held()

    def mark_corrected(self, step: ClockStep) -> None:
        """The database was corrected for `step`; if the clock stepped again meanwhile, that is to be corrected yet."""
        if step.generation == self.generation:
            self.uncorrected = None
