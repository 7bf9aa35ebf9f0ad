"""`sinyal up`: database, worker and api as children; a dead one is started again, and all end together."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import httpx
import structlog

from app.postgres.embedded import Cluster, EmbeddedError
from app.postgres.engine import database_url, open_engine
from app.runtime.migrate import migrate
from app.settings import Settings

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 0.2, 8.0, 30.0
GRACE_S = 6.0
LOOK_S = 0.25
READY_TIMEOUT_S = 120.0


@dataclass
class Child:
    """A process of ours. Its standard input ends when this one does, and with it the child, however we died."""

    name: str
    argv: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    talks: bool = True  # whether its standard output is for people
    pass_fds: tuple[int, ...] = ()  # sockets of ours that it is given, each time anew
    process: asyncio.subprocess.Process | None = None
    started: float = 0.0
    pause_s: float = 0.0
    next_try: float = 0.0

    async def keep_alive(self) -> None:
        now = time.monotonic()
        if self.process is not None and self.process.returncode is None:
            if now - self.started > STEADY_S:
                self.pause_s = 0.0
            return
        if self.process is not None and not self.next_try:
            log.warning("child_died", child=self.name, code=self.process.returncode, again_in_s=self.pause_s)
            self.next_try = now + self.pause_s
        if now >= self.next_try:
            try:
                await self._start()
            except OSError as error:  # no memory, no process left: the next try may find some
                log.error("child_not_started", child=self.name, error=error.strerror)
                self.next_try = now + self.pause_s

    async def _start(self) -> None:
        self.started, self.next_try = time.monotonic(), 0.0
        self.pause_s = min(max(FIRST_PAUSE_S, 2 * self.pause_s), LONGEST_PAUSE_S)
        self.process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=None if self.talks else asyncio.subprocess.DEVNULL,
            env=os.environ | self.environment,
            start_new_session=True,
            pass_fds=self.pass_fds,
        )
        log.info("child_started", child=self.name, pid=self.process.pid)

    async def stop(self) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), GRACE_S)
        except TimeoutError:
            log.warning("child_killed", child=self.name)
            self.process.kill()
            await self.process.wait()


def end_with_parent() -> None:
    """In a supervised child: SIGTERM to ourselves when the supervisor is gone, even by kill -9."""

    def wait() -> None:
        while os.read(0, 64):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def sinyal(*words: str) -> list[str]:
    return [sys.executable, "-m", "app.cli", *words]


@contextlib.asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[tuple[str, Cluster | None]]:
    """The URL of a migrated database: the operator's own, or the embedded one, started and in the end stopped."""
    cluster = None if settings.database_url else Cluster(settings.data_dir)
    if cluster is not None:
        await asyncio.to_thread(cluster.start)
    try:
        url = database_url(settings)
        engine = open_engine(url, name="migrate", command_timeout_s=None)
        try:
            await migrate(engine)
        finally:
            await engine.dispose()
        yield url, cluster
    finally:
        if cluster is not None:
            await asyncio.to_thread(cluster.stop, 3.0)


async def supervise(
    children: Sequence[Child],
    *,
    cluster: Cluster | None,
    stop: asyncio.Event,
    ready_url: str,
    when_ready: Callable[[], None],
) -> None:
    """Keeps all alive until `stop`; then ends them."""
    telling = asyncio.create_task(_tell_when_ready(ready_url, when_ready))
    mending: asyncio.Task[None] | None = None  # a crash recovery may take minutes; the rest goes on meanwhile
    try:
        while not stop.is_set():
            if cluster is not None and not cluster.alive() and (mending is None or mending.done()):
                mending = asyncio.create_task(_restart(cluster))
            for child in children:
                await child.keep_alive()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
    finally:
        telling.cancel()
        await asyncio.gather(*(child.stop() for child in children))


async def _restart(cluster: Cluster) -> None:
    log.warning("database_died")
    try:
        await asyncio.to_thread(cluster.start)
    except (EmbeddedError, OSError) as error:
        log.error("database_not_started", problem=str(error))
        await asyncio.sleep(1)


async def _tell_when_ready(url: str, when_ready: Callable[[], None]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(url)).status_code == 200:
                    when_ready()
                    return
            await asyncio.sleep(0.2)
    log.error("not_ready", after_s=READY_TIMEOUT_S)


def stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
