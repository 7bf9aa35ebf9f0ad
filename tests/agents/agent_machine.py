"""Runs an agent as at a site: its real script in a real shell, in a network namespace, over a link that breaks."""

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

from sqlalchemy import text

from app.postgres.engine import Sessions, transaction
from app.push.inbox import Delivery
from app.push.timestamps import ARRIVAL
from probes.contract import Reading
from simulator.namespace import Namespace

LINK = "127.254.0.1"


def answer_pings(namespace: Namespace, *, answered: bool) -> None:
    """Let the namespace's kernel answer pings to every anchor, or to none."""
    ignored = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
    subprocess.run(namespace.command(["sh", "-c", f"echo {0 if answered else 1} > {ignored}"]), check=True, timeout=120)


class Link:
    """TCP proxy between the agent's network and the server: up, cut, or without responses."""

    def __init__(self, namespace: Namespace, port: int, server: int) -> None:
        self._namespace, self.port, self._server = namespace, port, server
        self._listening: asyncio.Server | None = None
        self.drops_responses = False  # requests still reach the server
        self.hangs = False  # requests are taken and never answered
        self.passing = asyncio.Event()  # what is under way waits while it is clear
        self.passing.set()
        self.canned_response: bytes | None = None  # instead of the server's
        self.requests = 0
        self.first_chunks: list[bytes] = []  # of each request

    async def restore(self) -> None:
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
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self.hangs:
                while await reader.read(65536):
                    pass
            elif (response := self.canned_response) is not None:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = re.findall(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length))
                writer.write(response)
                await writer.drain()
            else:
                await self._forward(reader, writer)
        writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy both directions until either side closes. Dropped responses are read and discarded."""
        back, out = await asyncio.open_connection("127.0.0.1", self._server)
        both = {
            asyncio.create_task(_pump(reader, out, self.passing, self.first_chunks)),
            asyncio.create_task(back.read(65536) if self.drops_responses else _pump(back, writer, self.passing)),
        }
        _, pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        out.close()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    passing: asyncio.Event,
    first_chunks: list[bytes] | None = None,
) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            await passing.wait()
            if first_chunks is not None:
                first_chunks.append(chunk)
                first_chunks = None
            writer.write(chunk)
            await writer.drain()


class Machine:
    """A router or a computer: its files, its RAM disk, and its shell."""

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

    def configure(self, **values: Any) -> None:
        with self.conf.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())

    def _command(self, *argv: str, **environment: str) -> list[str]:
        """Run with the machine's own tools only."""
        variables = [f"{name}={value}" for name, value in {"PATH": self.tools, **environment}.items()]
        shell, *words = self._shell.split()
        return self._namespace.command(["/usr/bin/env", "-i", *variables, shutil.which(shell) or shell, *words, *argv])

    def run(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(*argv, **environment), capture_output=True, text=True, timeout=300)

    async def tick(self, *, now: bool = False) -> None:
        """`now`: send, even if the server asked for a later time."""
        if now:
            (self.ram / "next").unlink(missing_ok=True)
        done = await asyncio.to_thread(self.run, str(self.agent), "tick", SINYAL_CONF=str(self.conf))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    async def status(self) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(self.run, str(self.agent), "status", SINYAL_CONF=str(self.conf))

    def start(self) -> None:
        self.run_in_background("loop", SINYAL_CONF=str(self.conf))

    def run_in_background(self, command: str, **environment: str) -> None:
        self._running = subprocess.Popen(self._command(str(self.agent), command, **environment), start_new_session=True)

    def kill(self) -> None:
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()
            self._running = None

    def power_cut(self) -> None:
        """Kill all processes and empty the RAM disk."""
        self.kill()
        shutil.rmtree(self.ram)

    def read(self, name: str) -> str:
        file = self.ram / name
        return file.read_text().strip() if file.exists() else ""

    @property
    def rows(self) -> list[str]:
        """Stored rows that are still to be sent, the oldest first."""
        files = [file for file in (self.disk / "rows", self.ram / "rows") if file.exists()]
        lines = [line for file in files for line in file.read_text().splitlines()]
        return lines[int(self.read("skip") or 0) :]


def busybox_tools(folder: Path) -> Path:
    """Only the tools of BusyBox, as on a router. Its ash may be built to prefer them anyway."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["busybox", "--install", "-s", str(folder)], check=True, timeout=120)
    return folder


def linux_tools(folder: Path) -> Path:
    """The tools of this computer; ping from BusyBox where there is no other."""
    folder.mkdir(exist_ok=True)
    names = "sh cat sed grep cut tr wc head tail mv rm ln readlink mkdir printf date sleep awk gzip curl dash cp touch"
    for name in [*names.split(), "chmod", "id"]:
        path = shutil.which(name)
        assert path is not None, name
        (folder / name).symlink_to(path)
    (folder / "ping").symlink_to(shutil.which("ping") or shutil.which("busybox") or "")
    return folder


class StoredPushes:
    """What the server has stored of a site's pushes."""

    def __init__(self, sessions: Sessions, site_id: int) -> None:
        self._sessions, self._site_id = sessions, site_id

    async def seqs(self) -> dict[str, list[int]]:
        """Sequence numbers by boot."""
        query = text("""
            SELECT boot, array_agg(n ORDER BY n) FROM push_receipt, unnest(seen) AS part,
                generate_series(lower(part), upper(part) - 1) AS n
            WHERE site_id = :site GROUP BY boot
        """)
        async with transaction(self._sessions) as session:
            return {boot: list(seqs) for boot, seqs in await session.execute(query, {"site": self._site_id})}

    async def readings(self) -> list[Reading]:
        """Readings in the inbox, without those of mere arrivals."""
        query = text("SELECT site_id, received_at, rows FROM push_inbox WHERE site_id = :site ORDER BY id")
        async with transaction(self._sessions) as session:
            deliveries = [Delivery(*row) for row in await session.execute(query, {"site": self._site_id})]
        readings = [reading for delivery in deliveries for reading in delivery.readings()]
        return [reading for reading in readings if reading.reason != ARRIVAL]


async def wait_until(condition: Callable[[], Any], timeout_s: float = 120) -> None:
    async with asyncio.timeout(timeout_s):
        while not await _is_true(condition):  # noqa: ASYNC110  # another process brings it about
            await asyncio.sleep(0.1)


async def _is_true(condition: Callable[[], Any]) -> bool:
    result = condition()
    return bool(await result if asyncio.iscoroutine(result) else result)


@asynccontextmanager
async def open_link(namespace: Namespace, port: int, server: int) -> AsyncIterator[Link]:
    link = Link(namespace, port, server)
    await link.restore()
    try:
        yield link
    finally:
        await link.cut()
