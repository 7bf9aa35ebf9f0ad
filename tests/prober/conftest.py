from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from app.judging.addressed_block import AddressedBlock
from app.prober.process import ProberOptions, ProberProcess
from app.prober.server_clock import ServerClock
from probes.contract import Outcome, Reading
from probes.policy import AddressPolicy
from probes.reading_block import ReadingBlock
from probes.sweep import Prober
from tests.prober.stand_in import StandIn


@dataclass
class Machine:
    """A machine with a folder, and clocks that stand still unless a test moves them."""

    folder: Path
    server: StandIn
    prober: Prober
    even_s: float = 1000.0
    wall_s: float = 1_795_910_400.0
    runs: list[ProberProcess] = field(default_factory=list)

    def pass_time(self, seconds: float) -> None:
        self.even_s += seconds
        self.wall_s += seconds
        self.server.now += seconds

    async def start(self, **options: object) -> ProberProcess:
        """A process that has begun; nothing of it runs by itself."""
        clock = ServerClock(lambda: self.wall_s, lambda: self.even_s)
        options = {"token": "sp-token", **options}
        given = ProberOptions("https://server.test", data_dir=self.folder, **options)  # type: ignore[arg-type]
        process = ProberProcess(given, self.prober, clock, self.server)
        process.time.started_even_s = self.even_s
        await process.outbox.open()
        await process.delivery.load()
        self.runs.append(process)
        return process


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    async with Prober.open(AddressPolicy(), sockets=[]) as prober:
        machine = Machine(tmp_path, StandIn(), prober)
        yield machine
        for process in machine.runs:
            await process.outbox.close()
            await process.client.close()


async def read(process: ProberProcess, *slots: int, key: int = 7, outcome: Outcome = Outcome.OK) -> None:
    """As if a sweep had read a site in these seconds; on the disk at the end."""
    rtts = (900,) * 3 if outcome is Outcome.OK else ()
    block = ReadingBlock.of(Reading(key, slot, outcome, 3, rtts, 60) for slot in slots)
    process.rounds.buffer.put(AddressedBlock(block, np.zeros(len(slots), np.int64)), ended=float(max(slots)))
    process.rounds.buffer.release(process.rounds.canaries)
    await process.rounds.write()


def delivered(server: StandIn) -> list[int]:
    return [reading.slot for reading in server.readings]
