"""Two real servers: one that leads, and a streaming replica of it, whose replay can be held up."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from app.postgres.binaries import Identity, identity, program, run
from tests.support.demo_process import wait_for

SETTINGS = """
listen_addresses = ''
fsync = off
shared_buffers = 16MB
max_connections = 40
max_wal_senders = 4
hot_standby_feedback = on
wal_receiver_status_interval = 1s
io_method = sync
"""


@dataclass
class Server:
    sockets: Path

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://postgres@/postgres?host={self.sockets}"

    async def execute(self, statement: str) -> object:
        connection = await asyncpg.connect(host=str(self.sockets), user="postgres", database="postgres")
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def configure(self, name: str, value: str) -> None:
        """Set what a reload changes, and wait for it."""
        await self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await self.execute("SELECT pg_reload_conf()")
        while await self.execute(f"SELECT setting FROM pg_settings WHERE name = '{name}'") != value:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@dataclass
class Replicated:
    primary: Server
    replica: Server


@contextmanager
def replicated(folder: Path) -> Iterator[Replicated]:
    who = identity(folder)
    first, second = folder / "a", folder / "b"
    made = run([program("initdb"), f"--pgdata={first}", "--username=postgres", "--auth=trust", "--no-sync"], who=who)
    assert made.returncode == 0, made.stderr
    _configure(first)
    with _running(first, who) as primary:
        copying = [
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync",
            f"--host={_sockets(first)}",
            "--username=postgres",
        ]
        copied = run([program("pg_basebackup"), f"--pgdata={second}", *copying], who=who)
        assert copied.returncode == 0, copied.stderr
        _configure(second)
        with _running(second, who) as replica:
            yield Replicated(primary, replica)


def _sockets(home: Path) -> Path:
    """Apart from the data, which is copied."""
    return home.with_name(f"{home.name}-run")


def _configure(home: Path) -> None:
    _sockets(home).mkdir()
    with (home / "postgresql.conf").open("a") as file:
        file.write(f"{SETTINGS}unix_socket_directories = '{_sockets(home)}'\ncluster_name = '{home.name}'\n")


@contextmanager
def _running(home: Path, who: Identity) -> Iterator[Server]:
    argv = [*who.prefix, program("postgres"), "-D", str(home)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=home, **who.spawn)
    try:
        wait_for(lambda: b"ready to accept" in (home / "log").read_bytes(), 120, every_s=0.05)
        yield Server(_sockets(home))
    finally:
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(10)
