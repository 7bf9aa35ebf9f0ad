"""A real `sinyal prober` in a network of its own: real ICMP, over HTTP into the api, judged by the worker, served."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.clock import to_slot, utc_now
from app.postgres.engine import open_engine, open_sessions, transaction
from app.postgres.leader_lock import LeaderLock
from app.prober.errors import TokenTakenOver
from app.profiles import load_profiles
from app.settings import CONFIG_DIR, ProbeSettings, Settings
from app.vantages import assigned_sites
from app.worker.context import WorkerContext
from app.worker.process import Worker
from probes.policy import AddressPolicy
from probes.sweep import Prober
from simulator.namespace import Namespace
from tests.conftest import drop_database, make_database
from tests.factories import register
from tests.support.served_api import Served, served

pytestmark = pytest.mark.real_time

LOOPBACK = ProbeSettings(allow=["127.0.0.0/8"])
INTERVAL_S = 5


@dataclass
class District:
    """A network in which villages answer, or none does; the api listens there too."""

    namespace: Namespace
    listener: socket.socket
    folder: Path
    token: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def answer(self, *, answers: bool) -> None:
        script = f"echo {int(not answers)} > /proc/sys/net/ipv4/icmp_echo_ignore_all"
        subprocess.run(self.namespace.command(["sh", "-ec", script]), check=True, timeout=10)

    def start_prober(self, machine: str = "machine") -> subprocess.Popen[bytes]:
        url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        argv = [sys.executable, "-m", "app.cli", "prober", "--server", url, "--data", str(self.folder / machine)]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                self.namespace.command(argv),
                stdin=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "SINYAL_PROBER_TOKEN": self.token},
            )
        self.processes.append(process)
        return process


@pytest.fixture
def district(tmp_path: Path) -> Iterator[District]:
    with Namespace.open() as namespace:
        listener = namespace.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        district = District(namespace, listener, tmp_path)
        yield district
        for process in district.processes:
            process.kill()
            process.wait()


@pytest.fixture
async def api(
    server_url: str, migrated_template: str, district: District, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    """With a worker beside it, over a database of their own."""
    paced = load_profiles(CONFIG_DIR / "profiles.toml", interval_s=INTERVAL_S)
    monkeypatch.setattr(assigned_sites, "profiles", lambda: paced)
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    async with served(url, open_sessions(engine), also=[district.listener], probe=LOOPBACK) as api, working(url):
        yield api
    await engine.dispose()
    await drop_database(url, server_url)


@contextlib.asynccontextmanager
async def working(url: str) -> AsyncIterator[None]:
    lock, engine, stop = LeaderLock(url), open_engine(url, name="worker"), asyncio.Event()
    await lock.win()
    async with Prober.open(AddressPolicy(), sockets=[]) as prober:
        settings = Settings(database_url=url, canaries=[], probe=LOOPBACK)
        worker = Worker(WorkerContext(lock.open_sessions(engine), prober, settings, signals=lock.signals))

        async def told_to_stop() -> bool:
            return await stop.wait()

        await worker.start()
        running = asyncio.create_task(worker.run(told_to_stop()))
        try:
            yield
        finally:
            stop.set()
            await running
            lock.abandon()
            await engine.dispose()


async def until(asked: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await asked():  # noqa: ASYNC110  # watched from outside
            await asyncio.sleep(0.5)


async def test_a_village_that_a_prober_looks_at_is_up_is_lost_and_comes_back(api: Served, district: District) -> None:
    sari = api.cast.sari
    assert (
        await sari.client.put("/api/v1/vantages/1", json={"name": "kukar", "label": "Kutai Kartanegara"})
    ).status_code in {200, 201}
    made = await sari.post("/probers", {"name": "kukar-1", "vantage": "kukar"})
    assert made.status_code == 201, made.text
    district.token = made.json()["token"]
    district.answer(answers=True)
    site = (await register(api.cast, host="127.7.7.7", vantages=[1]))["id"]

    async def state() -> str:
        return str((await sari.get(f"/sites/{site}")).json()["state"])

    async def becomes(wanted: str) -> None:
        async def is_so() -> bool:
            return await state() == wanted

        await until(is_so)

    first = district.start_prober()
    await becomes("up")
    lost_at = utc_now()
    district.answer(answers=False)
    await becomes("down")
    first.kill()  # between its spool and a delivery, or anywhere
    district.answer(answers=True)
    second = district.start_prober()
    await becomes("up")
    copied = district.start_prober("another machine")
    assert await asyncio.to_thread(second.wait, 60) == TokenTakenOver.exit_code
    copied.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(copied.wait, 60) == 0
    async with transaction(api.sessions) as session:
        rows = (await session.execute(text("SELECT slot, source, outcome FROM measurement ORDER BY slot"))).all()
        waiting = await session.scalar(text("SELECT count(*) FROM prober_inbox"))
    assert waiting == 0
    assert {row.source for row in rows} == {"vantage-1"}
    timeouts = [to_slot(row.slot) for row in rows if row.outcome == "timeout"]
    assert len(timeouts) >= 2
    assert to_slot(lost_at) - INTERVAL_S <= timeouts[0] <= to_slot(lost_at) + 2 * INTERVAL_S
    assert rows[-1].outcome == "ok"
    (shown,) = (await sari.get("/probers")).json()["items"]
    assert (shown["name"], shown["readings"]) == ("kukar-1", len(rows))
