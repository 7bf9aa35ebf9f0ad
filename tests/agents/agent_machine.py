"""Agents as they run at a site: the real script in a real shell, in a network of its own, over a link that breaks."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text

from app.postgres.engine import Sessions, transaction
from app.push.inbox import Row
from simulator.namespace import Namespace

LINK = "127.254.0.1"
ARRIVAL = "arrival"


def answer_pings(namespace: Namespace, *, answered: bool) -> None:
    """The kernel inside answers for every anchor, or for none."""
    ignored = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
    subprocess.run(namespace.command(["sh", "-c", f"echo {0 if answered else 1} > {ignored}"]), check=True, timeout=10)


class Link:
    """Between the agent's network and ours: whole, cut, or such that answers never come back."""

    def __init__(self, namespace: Namespace, port: int, server: int) -> None:
        self._namespace, self.port, self._server = namespace, port, server
        self._listening: asyncio.Server | None = None
        self.swallows = False  # requests pass, answers do not
        self.says: bytes | None = None  # instead of the server
        self.requests = 0
        self.heads: list[bytes] = []  # how each request began

    async def mend(self) -> None:
        handle = self._namespace.socket()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.bind((LINK, self.port))
        self._listening = await asyncio.start_server(self._pass, sock=handle)

    async def cut(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self.says is not None:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = re.findall(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length))
                writer.write(self.says)
                await writer.drain()
            else:
                await self._forward(reader, writer)
        writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either side has said all. Swallowed, the request was taken, and nobody is told."""
        back, out = await asyncio.open_connection("127.0.0.1", self._server)
        both = {
            asyncio.create_task(_pump(reader, out, self.heads)),
            asyncio.create_task(back.read(65536) if self.swallows else _pump(back, writer)),
        }
        _, pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        out.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heads: list[bytes] | None = None) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            if heads is not None:
                heads.append(chunk)
                heads = None
            writer.write(chunk)
            await writer.drain()


class Machine:
    """A router or a machine: its files, what is in its RAM, and its shell."""

    def __init__(self, namespace: Namespace, folder: Path, script: str, *, shell: str, tools: Path) -> None:
        self._namespace, self.folder, self._shell = namespace, folder, shell
        self.tools = tools
        folder.mkdir(exist_ok=True)
        (folder / "sinyal.sh").write_text(script)
        installed = self.run(str(folder / "sinyal.sh"), SINYAL_ROOT=str(folder))
        assert (installed.returncode, installed.stderr) == (0, "")
        self.conf = folder / "etc/sinyal.conf"
        self.ram, self.disk = folder / "ram", folder / "disk"
        (self.agent,) = (path for path in folder.rglob("sinyal-agent") if path.is_file())
        self._running: subprocess.Popen[bytes] | None = None

    def set(self, **values: Any) -> None:
        with self.conf.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())

    def _command(self, *argv: str, **environment: str) -> list[str]:
        """With the machine's own tools alone."""
        given = [f"{name}={value}" for name, value in {"PATH": self.tools, **environment}.items()]
        shell, *words = self._shell.split()
        return self._namespace.command(["/usr/bin/env", "-i", *given, shutil.which(shell) or shell, *words, *argv])

    def run(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(*argv, **environment), capture_output=True, text=True, timeout=60)

    async def tick(self, *, now: bool = False) -> None:
        """`now`: it is due, whatever it was told."""
        if now:
            (self.ram / "next").unlink(missing_ok=True)
        done = await asyncio.to_thread(self.run, str(self.agent), "tick", SINYAL_CONF=str(self.conf))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    async def status(self) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(self.run, str(self.agent), "status", SINYAL_CONF=str(self.conf))

    def start(self) -> None:
        argv = self._command(str(self.agent), "loop", SINYAL_CONF=str(self.conf))
        self._running = subprocess.Popen(argv, start_new_session=True)

    def kill(self) -> None:
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()
            self._running = None

    def power_cut(self) -> None:
        """Whatever ran is dead, and RAM is empty."""
        self.kill()
        shutil.rmtree(self.ram)

    def read(self, name: str) -> str:
        file = self.ram / name
        return file.read_text().strip() if file.exists() else ""

    @property
    def rows(self) -> list[str]:
        """What it still keeps, the oldest first."""
        files = [folder / name for folder in {self.disk, self.ram} for name in ("batch", "rows")]
        return [line for file in files if file.exists() for line in file.read_text().splitlines()]


def busybox_tools(folder: Path) -> Path:
    """BusyBox' own tools and nothing beside them, as on a router. Its ash may be built to prefer them anyway."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["busybox", "--install", "-s", str(folder)], check=True, timeout=10)
    return folder


def linux_tools(folder: Path) -> Path:
    """A machine's own tools; ping is BusyBox' where there is no other."""
    folder.mkdir(exist_ok=True)
    names = "sh cat sed grep cut tr wc head tail mv rm ln readlink mkdir printf date sleep awk gzip curl dash cp touch"
    for name in [*names.split(), "chmod", "id"]:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    (folder / "ping").symlink_to(shutil.which("ping") or shutil.which("busybox") or "")
    return folder


class Received:
    """What the server keeps of a site."""

    def __init__(self, sessions: Sessions, site_id: int) -> None:
        self._sessions, self._site_id = sessions, site_id

    async def seqs(self) -> dict[str, list[int]]:
        query = text("""
            SELECT boot, array_agg(n ORDER BY n) FROM push_receipt, unnest(seen) AS part,
                generate_series(lower(part), upper(part) - 1) AS n
            WHERE site_id = :site GROUP BY boot
        """)
        async with transaction(self._sessions) as session:
            return {boot: list(seqs) for boot, seqs in await session.execute(query, {"site": self._site_id})}

    async def rows(self) -> list[Row]:
        """What waits for the worker: what was measured, without what only says that something came."""
        query = text("SELECT rows FROM push_inbox WHERE site_id = :site ORDER BY id")
        async with transaction(self._sessions) as session:
            taken = list(await session.scalars(query, {"site": self._site_id}))
        rows = [Row(*row) for one in taken for row in orjson.loads(one)]
        return [row for row in rows if row.reason != ARRIVAL]


async def until(what: Callable[[], Any], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not await _true(what):  # noqa: ASYNC110  # it is another process that gets there
            await asyncio.sleep(0.1)


async def _true(what: Callable[[], Any]) -> bool:
    found = what()
    return bool(await found if asyncio.iscoroutine(found) else found)


@asynccontextmanager
async def linked(namespace: Namespace, port: int, server: int) -> AsyncIterator[Link]:
    link = Link(namespace, port, server)
    await link.mend()
    try:
        yield link
    finally:
        await link.cut()
