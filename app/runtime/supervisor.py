"""Supervises the database and our processes as its children: one that dies is restarted, and all end together."""

import asyncio
import contextlib
import os
import sys
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

FIRST_BACKOFF_S, LONGEST_BACKOFF_S, STEADY_S = 0.2, 8.0, 30.0  # a child alive for STEADY_S starts over
GRACE_S = 6.0  # from SIGTERM to SIGKILL
POLL_S, RESTART_POLL_S = 1.0, 0.25  # of the database, and while a child is to be started again
READY_TIMEOUT_S = 120.0


@dataclass
class Child:
    """A child process. It ends when its standard input does, which is when this process does, even by kill -9."""

    name: str
    argv: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    shows_output: bool = True
    pass_fds: tuple[int, ...] = ()  # sockets that it inherits with each start
    grace_s: float = GRACE_S
    process: asyncio.subprocess.Process | None = None
    started: float = 0.0
    backoff_s: float = 0.0
    next_try: float = 0.0
    exiting: asyncio.Task[int] | None = None  # ends with the process

    @property
    def is_running(self) -> bool:
        return self.exiting is not None and not self.exiting.done()

    async def keep_alive(self) -> None:
        """Start the process if it does not run, after a backoff that doubles with each early death."""
        now = time.monotonic()
        if self.process is not None and self.process.returncode is None:
            if now - self.started > STEADY_S:
                self.backoff_s = 0.0
            return
        if self.process is not None and not self.next_try:
            log.warning("child_died", child=self.name, code=self.process.returncode, restart_in_s=self.backoff_s)
            self.next_try = now + self.backoff_s
        if now >= self.next_try:
            try:
                await self._start()
            except OSError as error:  # no memory or process left: the next try may succeed
                log.error("child_not_started", child=self.name, error=error.strerror)
                self.next_try = now + self.backoff_s

    async def _start(self) -> None:
        self.started, self.next_try = time.monotonic(), 0.0
        self.backoff_s = min(max(FIRST_BACKOFF_S, 2 * self.backoff_s), LONGEST_BACKOFF_S)
        self.process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=None if self.shows_output else asyncio.subprocess.DEVNULL,
            env=os.environ | self.environment,
            start_new_session=True,
            pass_fds=self.pass_fds,
        )
        self.exiting = asyncio.create_task(self.process.wait())
        log.info("child_started", child=self.name, pid=self.process.pid)

    async def stop(self) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(self.grace_s):
                await self.process.wait()
        except TimeoutError:
            log.warning("child_killed", child=self.name)
            self.process.kill()
            await self.process.wait()


def sinyal(*arguments: str) -> list[str]:
    """Return the command line of a `sinyal` command."""
    return [sys.executable, "-m", "app.cli", *arguments]


@contextlib.asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[tuple[str, Cluster | None]]:
    """Yield the URL of the migrated database: the configured one, or the embedded one, started and stopped here."""
    cluster = None if settings.database_url else Cluster(settings.data_dir)
    if cluster is not None:
        await asyncio.to_thread(cluster.start)
    try:
        url = database_url(settings)
        engine = open_engine(settings.database_direct_url or url, name="migrate", command_timeout_s=None)
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
    ready_urls: Sequence[str],
    when_ready: Callable[[], None],
) -> None:
    """Keep all children and the database alive until `stop` is set, then end the children."""
    reporting = asyncio.create_task(_report_when_ready(ready_urls, when_ready))
    stopping = asyncio.create_task(stop.wait())
    restarting: asyncio.Task[None] | None = None  # crash recovery may take minutes, and the children go on meanwhile
    try:
        while not stop.is_set():
            if cluster is not None and not cluster.alive() and (restarting is None or restarting.done()):
                restarting = asyncio.create_task(_restart(cluster))
            for child in children:
                await child.keep_alive()
            exits = [child.exiting for child in children if child.exiting is not None and child.is_running]
            wait_s = POLL_S if len(exits) == len(children) else RESTART_POLL_S
            await asyncio.wait([stopping, *exits], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        reporting.cancel()
        await asyncio.gather(*(child.stop() for child in children))


async def _restart(cluster: Cluster) -> None:
    log.warning("database_died")
    try:
        await asyncio.to_thread(cluster.start)
    except (EmbeddedError, OSError) as error:
        log.error("database_not_started", problem=str(error))
        await asyncio.sleep(1)


async def _report_when_ready(urls: Sequence[str], when_ready: Callable[[], None]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if all([(await client.get(url)).status_code == 200 for url in urls]):
                    when_ready()
                    return
            await asyncio.sleep(0.2)
    log.error("not_ready", after_s=READY_TIMEOUT_S)
