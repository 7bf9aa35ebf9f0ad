import socket
import time
from collections.abc import AsyncIterator, Iterable

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.core.clock import SlotClock
from app.judging.addressed_block import AddressedBlock, AddressedReading
from app.postgres.engine import Sessions
from app.settings import ProbeSettings, Settings
from app.worker.context import WorkerContext
from app.worker.process import Worker
from probes.policy import AddressPolicy
from probes.sweep import Prober
from simulator.namespace import Namespace
from tests.conftest import Cast, drop_database, make_database

CUT_LOCK_CONNECTIONS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name = 'sinyal worker lock' AND datname = current_database()
"""


async def connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


@pytest.fixture
async def migrated_url(server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """Of a database of its own."""
    url = await make_database(server_url, migrated_template)
    yield url
    await drop_database(url, server_url)


def put(worker: Worker, items: Iterable[AddressedReading]) -> None:
    """Put readings into the worker's buffer as if a sweep had ended now."""
    worker.context.buffer.put(AddressedBlock.of(items), ended=worker.context.clock.now())


class WallClock:
    """A wall clock that a test can set."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def wall_clock() -> WallClock:
    return WallClock()


@pytest.fixture
async def worker(sessions: Sessions, cast: Cast, wall_clock: WallClock) -> AsyncIterator[Worker]:
    """Its ICMP socket is in a network namespace, where nobody answers."""
    with Namespace.open() as namespace:
        raw = namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        async with Prober.open(AddressPolicy(allow=["127.0.0.0/8"]), sockets=[raw]) as prober:
            settings = Settings(canaries=["127.255.0.1"], probe=ProbeSettings(allow=["127.0.0.0/8"]))
            yield Worker(WorkerContext(sessions, prober, settings, SlotClock(wall_clock)))
