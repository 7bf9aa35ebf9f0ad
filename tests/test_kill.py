"""`kill -9` at any moment: what was acknowledged is there, once and whole; the rest is there whole or not at all."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.access import store as access
from app.access.models import Role
from app.database import open_engine, open_sessions, transaction
from app.embedded import Cluster
from app.migrate import migrate
from app.registry import providers, regions
from tests.killing import Api, Client, Sent, kill_database
from tests.registry.test_sites import site
from tests.running import wait_for

KILLS, OF_THE_DATABASE = 50, 5
REPLICAS, CLIENTS = 2, 3
VILLAGES = [row["code"] for row in regions.read_csv() if row["code"].startswith("64.02.") and len(row["code"]) == 13]

# All that a registration leaves behind, by its host: one row of each.
LEFT = text("""
    SELECT s.host, s.id, s.code,
        (SELECT count(*) FROM site_configuration c WHERE c.site_id = s.id) AS configurations,
        (SELECT count(*) FROM site_status t WHERE t.site_id = s.id) AS statuses,
        (SELECT count(*) FROM audit a WHERE a.object = 'site' AND a.object_id IN (s.code, s.id::text)) AS entries
    FROM site s ORDER BY s.id
""")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "var")
    cluster.start()
    yield cluster
    cluster.stop()


def registration(chance: Random) -> Sent:
    host = f"2001:db8:{chance.getrandbits(16):x}:{chance.getrandbits(16):x}::1"
    body = site(host=host, village_code=chance.choice(VILLAGES))
    return Sent(str(UUID(int=chance.getrandbits(128))), [host], {"json": body})


def test_nothing_acknowledged_is_lost_and_nothing_is_there_by_half(
    cluster: Cluster, tmp_path: Path, record_property: Any
) -> None:
    chance = Random(9)
    token = asyncio.run(prepare(cluster.url))
    apis = [Api(cluster.url, tmp_path / f"api-{n}") for n in range(REPLICAS)]
    clients = [Client(apis, token, Random(n), registration, "/sites") for n in range(CLIENTS)]
    try:
        for api in apis:
            api.start()
        wait_for(lambda: all(api.ready for api in apis), 60)
        undisturbed = registration(chance)
        answer = clients[0].ask(undisturbed)
        assert answer is not None
        assert answer.status_code == 201, answer.text
        for client in clients:
            client.start()
        _kill_them(apis, cluster, chance)
        wait_for(lambda: all(api.ready for api in apis), 60)
        for client in clients:
            client.end()
        count = _check(cluster, clients, undisturbed)
    finally:
        for client in clients:
            client.close()
        for api in apis:
            api.close()
    record_property("kill -9", f"{KILLS} ({OF_THE_DATABASE} of PostgreSQL); {count}")


async def prepare(url: str) -> str:
    engine = open_engine(url, name="test")
    await migrate(engine)
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS"})
        token = await access.create_token(session, name="ana", role=Role.DISTRICT_OPERATOR, region_code="64.02")
    await engine.dispose()
    return token


def _kill_them(apis: list[Api], cluster: Cluster, chance: Random) -> None:
    database = set(chance.sample(range(KILLS), OF_THE_DATABASE))
    for kill in range(KILLS):
        wait_for(lambda: any(api.ready for api in apis), 60, every_s=0.05)
        time.sleep(chance.uniform(0, 0.4))
        if kill in database:
            kill_database(cluster)
        else:
            api = chance.choice([api for api in apis if api.ready] or apis)
            api.kill()
            api.start()


def _check(cluster: Cluster, clients: list[Client], undisturbed: Sent) -> str:
    sent = [one for client in clients for one in client.sent]
    acknowledged = [one for one in sent if one.answer is not None]
    assert [said for client in clients for said in client.surprises] == []
    left = asyncio.run(_left(cluster.url))
    (whole,) = {rows for rows, _ in left.pop(undisturbed.hosts[0])}
    assert whole[:2] == (1, 1)
    assert {rows for found in left.values() for rows, _ in found} == {whole}, "each is there as a whole"
    assert max(map(len, left.values())) == 1, "none is there twice"
    assert left.keys() <= {host for one in sent for host in one.hosts}
    assert {one.hosts[0]: one.answer["id"] for one in acknowledged}.items() <= {
        host: ident for host, ((_, ident),) in left.items()
    }.items(), "what was acknowledged is there, as it was answered"
    again = acknowledged[:: max(1, len(acknowledged) // 40)]
    for one in again:
        answer = clients[0].ask(one)
        assert answer is not None
        assert (answer.headers.get("idempotent-replayed"), answer.json()["id"]) == ("true", one.answer["id"])
    assert len(asyncio.run(_left(cluster.url))) == len(left) + 1
    cut_off = sum(one.cut_off for one in sent)
    assert len(acknowledged) > KILLS
    assert cut_off > KILLS / 5, "the kills met requests under way"
    return f"{len(acknowledged)} registrations acknowledged, {cut_off} requests cut off"


async def _left(url: str) -> dict[str, list[tuple[tuple[int, int, int], int]]]:
    """By host: its sites, what hangs on each, and their ids."""
    engine: AsyncEngine = open_engine(url, name="test")
    found: dict[str, list[tuple[tuple[int, int, int], int]]] = {}
    async with engine.connect() as connection:
        for row in await connection.execute(LEFT):
            found.setdefault(row.host, []).append(((row.configurations, row.statuses, row.entries), row.id))
    await engine.dispose()
    return found
