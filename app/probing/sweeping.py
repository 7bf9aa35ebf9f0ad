"""Sweeps of what is due, many under way side by side: each ends by itself, and hands on what it read."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from app.judging.addressed_block import AddressedBlock
from app.probing.schedule import DueProbes
from probes.reading_block import FAULT, ReadingBlock
from probes.target_block import TargetBlock

OVERRUN_S = 2.0  # a sweep that takes so much longer than its packets is an overrun
LAST_SWEEPS_S = 3.0  # at an orderly end, which the supervisor gives 6 s in all

SweepBlock = Callable[[TargetBlock], Awaitable[ReadingBlock]]


class SweepFigures(Protocol):
    """What is counted of sweeps."""

    rounds: int
    readings: int
    faults: int
    overruns: int
    sweep_seconds: float
    sweep_late_seconds: float


@dataclass
class Sweeping:
    """`on_read` receives what a sweep read, and when it began by the monotonic clock."""

    sweep_block: SweepBlock
    figures: SweepFigures
    on_read: Callable[[AddressedBlock, float], None]
    _sweeps: dict[asyncio.Task[None], int] = field(default_factory=dict)  # under way, with their first slot

    def start(self, due: DueProbes) -> None:
        if len(due):
            self.figures.rounds += 1
            sweep = asyncio.create_task(self._sweep(due))
            self._sweeps[sweep] = int(due.targets.slot.min())
            sweep.add_done_callback(self._sweeps.pop)

    async def finish(self) -> None:
        """Wait a little for the sweeps under way: what they read is handed on then."""
        if self._sweeps:
            await asyncio.wait(self._sweeps, timeout=LAST_SWEEPS_S)

    @property
    def first_unread(self) -> int | None:
        """The first slot of the sweeps under way."""
        return min(self._sweeps.values(), default=None)

    async def _sweep(self, due: DueProbes) -> None:
        started = time.monotonic()
        readings = await self.sweep_block(due.targets)
        self._count(readings, time.monotonic() - started, due.targets.longest_s())
        self.on_read(AddressedBlock(readings, due.addressed_at), started)

    def _count(self, readings: ReadingBlock, took_s: float, longest_s: float) -> None:
        figures = self.figures
        figures.overruns += took_s > longest_s + OVERRUN_S
        figures.sweep_seconds = round(took_s, 3)
        figures.sweep_late_seconds = round(max(0.0, took_s - longest_s), 3)
        figures.readings += len(readings)
        figures.faults += int((readings.outcome == FAULT).sum())
