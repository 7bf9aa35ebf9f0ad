"""`sinyal prober`: looks at what the server assigns, keeps what it reads until that is delivered, and ends in order."""

import asyncio
import contextlib
import fcntl
import importlib.metadata
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog

from app.core.stopping import stop_on_signals
from app.prober import spool
from app.prober.assigned import AssignedSites
from app.prober.delivery import BlockDelivery
from app.prober.errors import ProberEnds, ProberError
from app.prober.figures import ProberFigures
from app.prober.outbox import BlockOutbox
from app.prober.rounds import ProbeRounds
from app.prober.server_client import ServerClient
from app.prober.server_clock import ServerClock, boot_time
from app.prober.server_loop import ServerLoop
from app.prober.spool_thread import SpoolThread
from app.prober.timekeeping import Timekeeper
from app.probing import canary_beat
from probes.policy import AddressPolicy
from probes.sweep import Prober

log = structlog.get_logger()

FIRST_ANSWER_S = 3.0  # without one by then we begin with what the spool knows
LAST_DELIVERY_S = 5.0
TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class ProberOptions:
    server: str
    token: str
    data_dir: Path
    canaries: Sequence[str] = ()  # instead of the server's
    spool_bytes: int = spool.MOST_BYTES


class ProberProcess:
    """Everything of one run, from its start to its end."""

    def __init__(
        self,
        options: ProberOptions,
        prober: Prober,
        clock: ServerClock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        started_s, boot = boot_time(), secrets.token_hex(16)
        self.clock = clock or ServerClock()
        self.outbox = BlockOutbox(SpoolThread(options.data_dir / spool.FILE), boot, options.spool_bytes)
        self.rounds = ProbeRounds(prober, self.clock, self.outbox, ProberFigures(), options.canaries)
        self.time = Timekeeper(self.clock, self.outbox, self.rounds, started_s)
        self.client = ServerClient(options.server, options.token, even=self.clock.even, transport=transport)
        version = importlib.metadata.version("sinyal-desa")
        self.delivery = BlockDelivery(self.client, self.time, self.outbox, self.rounds, boot, version)
        self.assigned = AssignedSites(self.client, self.time, self.outbox, self.rounds)
        self.server = ServerLoop(self.assigned, self.delivery)
        self.rounds.on_news = self.server.wake
        self.ended: ProberEnds | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Probe and deliver until `stop`. Raises ProberEnds."""
        await self.outbox.open()
        await self.delivery.load()
        log.info("prober_started", server=self.client.url, boot=self.delivery.boot)
        try:
            async with asyncio.TaskGroup() as group:
                loops = [
                    self._converse(stop),
                    self._begin_alone(),
                    self._each(TICK_S, self._probe),
                    self._each(canary_beat.EVERY_S, self._probe_canaries),
                    self._each(TICK_S, self._write),
                ]
                tasks = [group.create_task(loop) for loop in loops]
                await stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self._finish()
        if self.ended is not None:
            raise self.ended

    async def _converse(self, stop: asyncio.Event) -> None:
        try:
            await self.server.run()
        except ProberEnds as ended:
            self.ended = ended
            stop.set()

    async def _begin_alone(self) -> None:
        """Without an answer of the server, look at what it told last."""
        await asyncio.sleep(FIRST_ANSWER_S)
        if not self.clock.is_set and await self.time.load():
            await self.assigned.load()

    async def _probe(self) -> None:
        self.rounds.probe_due()

    async def _probe_canaries(self) -> None:
        await self.rounds.probe_canaries()

    async def _write(self) -> None:
        await self.rounds.write_due()

    async def _each(self, seconds: float, run: Callable[[], Awaitable[None]]) -> None:
        """Run it so often, right after a whole second of the server's clock; what it raises is logged."""
        while True:
            await asyncio.sleep(seconds - self.clock.now() % seconds + 0.002 if self.clock.is_set else 0.1)
            if not self.clock.is_set:
                continue
            try:
                await run()
            except Exception as error:
                log.error("job_failed", job=run.__name__, error=repr(error), exc_info=error)

    async def _finish(self) -> None:
        """What the sweeps under way read goes into the spool, and from there once more to the server."""
        try:
            if self.clock.is_set:
                await self.rounds.finish()
            if self.clock.is_verified and self.ended is None:
                with contextlib.suppress(ProberError, TimeoutError):
                    async with asyncio.timeout(LAST_DELIVERY_S):
                        while await self.delivery.exchange():
                            pass
        finally:
            await self.outbox.refresh_state()
            log.info("prober_stopped", readings_waiting=self.outbox.state.readings)
            await self.outbox.close()
            await self.client.close()


async def probe(options: ProberOptions) -> int:
    """Return the exit code."""
    stop = stop_on_signals()
    with sole_process(options.data_dir):
        return await _probe(options, stop)


async def _probe(options: ProberOptions, stop: asyncio.Event) -> int:
    async with Prober.open(AddressPolicy()) as prober:
        if prober.icmp_problem:
            log.error("icmp_unavailable", problem=prober.icmp_problem)
        try:
            await ProberProcess(options, prober).run(stop)
        except ProberEnds as ended:
            log.error("prober_ends", exit_code=ended.exit_code, why=str(ended))
            return ended.exit_code
    return 0


@contextlib.contextmanager
def sole_process(folder: Path) -> Iterator[None]:
    """Keep the folder to this process. Raises FolderInUse."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / "prober.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder} is in use by another prober") from None
        yield
    finally:
        os.close(handle)


class FolderInUse(ProberError):
    pass
