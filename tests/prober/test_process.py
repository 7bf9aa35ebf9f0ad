"""The whole process in real time, over a network where nobody answers."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from app.prober.errors import TokenTakenOver
from app.prober.process import FolderInUse, ProberOptions, ProberProcess, sole_process
from probes.contract import Outcome
from probes.policy import AddressPolicy
from probes.sweep import Prober
from simulator.namespace import Namespace
from tests.prober.stand_in import StandIn, a_site

START = 1_795_000_000


class Ticking(StandIn):
    """Hours behind this machine."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.now = START + time.monotonic()
        return await super().handle_async_request(request)


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    with Namespace.open() as namespace:
        raw = namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        async with Prober.open(AddressPolicy(), sockets=[raw]) as prober:
            yield prober


def start(prober: Prober, server: StandIn, folder: Path) -> ProberProcess:
    return ProberProcess(ProberOptions("https://server.test", "sp-token", folder), prober, transport=server)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  # watched from outside
            await asyncio.sleep(0.02)


async def test_it_looks_delivers_and_delivers_what_it_read_last_when_it_is_told_to_stop(
    prober: Prober, tmp_path: Path
) -> None:
    server, stop = Ticking(), asyncio.Event()
    server.sites = [a_site(key, interval_s=5, timeout_ms=100, packets=1) for key in range(1, 6)]
    process = start(prober, server, tmp_path)
    running = asyncio.create_task(process.run(stop))
    await until(lambda: len(server.readings) > 0)
    before = process.rounds.figures.readings
    await until(lambda: process.rounds.figures.readings > before)
    stop.set()
    await running
    assert len(server.readings) == process.rounds.figures.readings
    assert {reading.outcome for reading in server.readings} == {Outcome.TIMEOUT}
    assert set(server.receipts.values()) == {1}
    slots = [reading.slot for reading in server.readings]
    assert server.now - 60 < min(slots) <= max(slots) <= server.now, "whatever this machine's clock shows"


async def test_where_another_process_took_over_it_ends_and_says_nothing_more(prober: Prober, tmp_path: Path) -> None:
    server = StandIn()
    server.refuses = 409
    with pytest.raises(TokenTakenOver):
        await start(prober, server, tmp_path).run(asyncio.Event())
    assert len(server.requests) == 1


def test_a_folder_is_of_one_process(tmp_path: Path) -> None:
    refused = pytest.raises(FolderInUse, match="in use by another prober")
    with sole_process(tmp_path / "new"), refused, sole_process(tmp_path / "new"):
        pass
    with sole_process(tmp_path / "new"):
        pass
