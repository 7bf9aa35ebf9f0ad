"""What `sinyal prober` costs: its own processor time and memory, by the number of sites that it looks at each minute.

It runs in a namespace whose kernel answers all of 127.0.0.0/8, against a server that stores nothing.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.namespace import Namespace
from tests.prober.stand_in import StandIn, a_site
from tests.support.demo_process import cpu_s, resident_mb

SITES = (1_038, 10_000, 60_000)
SETTLES_S, MEASURED_S = 75, 60


class Counting(StandIn):
    """Takes every block, and keeps nothing."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.now = time.time()
        return await super().handle_async_request(request)

    def _take(self, document: dict[str, Any]) -> dict[str, Any]:
        self.beats = self.beats[-1:]
        return {"accepted": [block["seq"] for block in document["blocks"]]}


def main() -> None:
    for sites in SITES:
        asyncio.run(_measure(sites))


async def _measure(sites: int) -> None:
    with _answering_network() as namespace, tempfile.TemporaryDirectory() as folder:
        listener = namespace.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = Counting()
        timing = {"timeout_ms": 2000, "spacing_ms": 1000}
        server.sites = [a_site(key, host=_address(key), **timing) for key in range(1, sites + 1)]
        serving = uvicorn.Server(uvicorn.Config(_app(server), log_config=None))
        running = asyncio.create_task(serving.serve([listener]))
        prober = _start(namespace, listener.getsockname()[1], Path(folder))
        try:
            await _watch(prober.pid, server, sites)
        finally:
            prober.terminate()
            await asyncio.to_thread(prober.wait, 20)
            serving.should_exit = True
            await running


async def _watch(pid: int, server: Counting, sites: int) -> None:
    await asyncio.sleep(SETTLES_S)
    before, first = cpu_s(pid), server.beats[-1]
    await asyncio.sleep(MEASURED_S)
    spent, last = cpu_s(pid) - before, server.beats[-1]
    figures = last["figures"]
    readings = figures["readings"] - first["figures"]["readings"]
    seconds = (datetime.fromisoformat(last["sent_at"]) - datetime.fromisoformat(first["sent_at"])).total_seconds()
    print(
        f"{sites:>6} sites, {readings / seconds:6.1f} readings/s: {spent:5.2f} CPU s a minute,"
        f" {resident_mb(pid):.0f} MB; {figures['missed_slots']} slots missed, {figures['faults']} faults,"
        f" latest sweep {figures['sweep_late_seconds']} s late",
        flush=True,
    )


@contextlib.contextmanager
def _answering_network() -> Iterator[Namespace]:
    with Namespace.open() as namespace:
        answering = "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all"
        subprocess.run(namespace.command(["sh", "-ec", answering]), check=True, timeout=10)
        yield namespace


def _start(namespace: Namespace, port: int, folder: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "app.cli", "prober", "--server", f"http://127.0.0.1:{port}", "--data", str(folder)]
    environment = {**os.environ, "SINYAL_PROBER_TOKEN": "sp-bench"}
    return subprocess.Popen(namespace.command(argv), env=environment, stderr=subprocess.DEVNULL)


def _address(key: int) -> str:
    return f"127.{1 + (key >> 16)}.{key >> 8 & 255}.{key & 255}"


def _app(server: StandIn) -> Starlette:
    async def answer(request: Request) -> Response:
        asked = httpx.Request(
            request.method, str(request.url), headers=request.headers.raw, content=await request.body()
        )
        given = await server.handle_async_request(asked)
        return Response(given.content, given.status_code, dict(given.headers))

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
