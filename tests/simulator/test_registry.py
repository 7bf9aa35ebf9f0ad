"""The poller of the product's registry, against a real PostgreSQL."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from app.postgres.embedded import Cluster
from simulator.host_plan import SimulatedHost
from simulator.namespace import Namespace
from simulator.process import SimulatorProcess
from simulator.registry import RegistryPoller
from tests.simulator.pings import ping

TABLES = """
CREATE TABLE provider (id int PRIMARY KEY, slug text NOT NULL);
CREATE TABLE site (
    id serial PRIMARY KEY, code text, village_code text, host text, technology text,
    provider_id int REFERENCES provider, lifecycle text DEFAULT 'active', kind text DEFAULT 'access_point',
    parent_id int REFERENCES site, probe text DEFAULT 'icmp', bandwidth_down_mbps float8, bandwidth_up_mbps float8
);
INSERT INTO provider VALUES (1, 'iconplus');
INSERT INTO site (code, village_code, host, technology, provider_id, lifecycle) VALUES
    ('64.11.01.2001-01', '64.11.01.2001', '127.11.1.1', 'geo', 1, 'active'),
    ('64.11.01.2002-01', '64.11.01.2002', '127.11.1.2', 'fiber', 1, 'retired'),
    ('64.11.01.2003-01', '64.11.01.2003', NULL, 'leo', 1, 'active');
"""
FIRST = SimulatedHost("127.11.1.1", "geo", "64.11.01.2001-01", "64.11.01.2001", "iconplus")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    cluster = Cluster(tmp_path_factory.mktemp("registry") / "var")
    cluster.start()
    yield cluster.url
    cluster.stop()


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute("DROP TABLE IF EXISTS site, provider")
    yield connection
    await connection.close()


class Recorder:
    """Records what the polling thread reports; the test's loop waits for it."""

    def __init__(self) -> None:
        self.all: list[list[SimulatedHost]] = []

    async def times(self, count: int) -> list[SimulatedHost]:
        deadline = time.monotonic() + 5
        while len(self.all) < count:
            assert time.monotonic() < deadline, f"reported {len(self.all)} times"
            await asyncio.sleep(0.01)
        return self.all[-1]


async def test_hosts_are_reported_at_first_and_after_a_change_only(
    url: str, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await database.execute(TABLES)
    recorder = Recorder()
    registry = RegistryPoller(url, recorder.all.append, every_s=0.02)
    registry.start()
    assert await recorder.times(1) == [FIRST]
    await asyncio.sleep(0.2)
    assert len(recorder.all) == 1
    await database.execute("UPDATE site SET lifecycle = 'planned' WHERE lifecycle = 'retired'")
    assert [host.address for host in await recorder.times(2)] == ["127.11.1.1", "127.11.1.2"]
    registry.stop()
    assert not registry.is_alive()


async def test_parents_are_reported_and_reported_again_when_they_change(
    url: str, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await database.execute(TABLES)
    await database.execute(
        "INSERT INTO site (code, village_code, host, technology, provider_id, kind)"
        " VALUES ('64.11.01.2003-02', '64.11.01.2003', '127.11.1.254', 'fiber', 1, 'node')"
    )
    recorder = Recorder()
    registry = RegistryPoller(url, recorder.all.append, every_s=0.02)
    registry.start()
    assert {host.code: (host.kind, host.parent) for host in await recorder.times(1)} == {
        FIRST.code: ("access_point", ""),
        "64.11.01.2003-02": ("node", ""),
    }
    await database.execute("UPDATE site SET parent_id = 4 WHERE code = '64.11.01.2001-01'")
    assert {host.code: host.parent for host in await recorder.times(2)} == {
        FIRST.code: "64.11.01.2003-02",
        "64.11.01.2003-02": "",
    }
    registry.stop()


async def test_a_registry_that_cannot_be_read_is_retried_and_logged_once(
    url: str, database: "asyncpg.Connection[asyncpg.Record]", caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    registry = RegistryPoller(url, recorder.all.append, every_s=0.02)
    registry.start()
    await asyncio.sleep(0.3)
    assert recorder.all == []
    (line,) = caplog.messages
    assert 'relation "site" does not exist' in line
    await database.execute(TABLES)
    assert await recorder.times(1) == [FIRST]
    registry.stop()


async def test_an_unavailable_database_does_not_end_the_poller(tmp_path: Path) -> None:
    registry = RegistryPoller(f"postgresql+asyncpg://u:p@/d?host={tmp_path}", Recorder().all.append, every_s=0.02)
    registry.start()
    await asyncio.sleep(0.2)
    assert registry.is_alive()
    registry.stop()
    assert not registry.is_alive()


async def test_the_simulator_inside_the_namespace_reads_hosts_from_the_database_outside(
    url: str, database: "asyncpg.Connection[asyncpg.Record]", namespace: Namespace, tmp_path: Path
) -> None:
    await database.execute(TABLES)
    simulation = SimulatorProcess(
        namespace, data_dir=tmp_path, database_url_env="REGISTRY_URL", environment={"REGISTRY_URL": url}
    )
    addresses = ["127.11.1.1", "127.11.1.2", "127.11.1.3"]
    with simulation, namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as handle:
        seen = await asyncio.to_thread(ping, handle, [addresses] * 5, every_s=0.01, wait_s=0.8)
    answered = {address for address, pings in seen.items() if any(one.rtt_ms is not None for one in pings)}
    assert answered == {"127.11.1.1"}
