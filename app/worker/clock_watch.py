"""Detects steps of the wall clock: the time stepped over is blind, and what is stored with a wrong time corrected."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from app.core.clock import from_slot
from app.judging.blind_ranges import BlindRange
from app.worker.context import WorkerContext

log = structlog.get_logger()

STEP_TOLERANCE_S = 1.0


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

    async def run(self, on_step: Callable[[], None]) -> None:
        """Check every second; no job: set back, the scheduler itself would wait for the wall clock to catch up."""
        while True:
            await asyncio.sleep(1)
            if self.check():
                on_step()

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
