"""`kill -9` at any moment: acknowledged writes are there exactly once, others wholly or not at all."""

import asyncio
import json
import time
from collections.abc import Iterator
from ipaddress import IPv6Address
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine
from app.registry import regions
from tests.factories import site
from tests.support.demo_process import wait_for
from tests.support.killing import OTHERS, Client, ForkedApi, Forks, Sent, kill_database, prepare_database

pytestmark = pytest.mark.real_time

KILLS, OF_THE_DATABASE = 30, 4
REPLICAS, CLIENTS, ROWS = 2, 3, 25
VILLAGES = [row["code"] for row in regions.read_csv() if row["level"] == "desa_kelurahan"]
UNUSED = product(OTHERS, VILLAGES)  # a row of a spreadsheet for the same pair would be the same site

# All that a registration leaves behind, by its host: one row of each.
LEFT = text("""
    SELECT s.host, s.code,
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
    host = _host(chance)
    body = site(host=host, village_code=chance.choice(VILLAGES))
    return Sent("/sites", _key(chance), [host], "application/json", json.dumps(body))


def spreadsheet(chance: Random) -> Sent:
    hosts = [_host(chance) for _ in range(ROWS)]
    lines = ["village_code,technology,provider,probe,host"]
    for host, (provider, village) in zip(hosts, UNUSED, strict=False):
        lines.append(f"{village},fiber,{provider},icmp,{host}")
    return Sent("/sites/import", _key(chance), hosts, "text/csv", "\n".join(lines))


def either(chance: Random) -> Sent:
    return spreadsheet(chance) if chance.random() < 0.15 else registration(chance)


def codes(answer: dict[str, Any]) -> list[str]:
    """Of the sites that it made, in the order of their rows."""
    return [row["code"] for row in answer["rows"]] if "rows" in answer else [answer["code"]]


def _host(chance: Random) -> str:
    return str(IPv6Address((0x20010DB8 << 96) | chance.getrandbits(64)))


def _key(chance: Random) -> str:
    return f"{chance.getrandbits(128):x}"


def test_nothing_acknowledged_is_lost_and_nothing_is_there_by_half(
    cluster: Cluster, tmp_path: Path, record_property: Any
) -> None:
    chance = Random(9)
    token = asyncio.run(prepare_database(cluster.url))
    forks = Forks()
    apis = [ForkedApi(forks, cluster.url, tmp_path / f"api-{n}") for n in range(REPLICAS)]
    clients = [Client(apis, token, Random(n), either) for n in range(CLIENTS)]
    try:
        for api in apis:
            api.start()
        wait_for(lambda: all(api.ready for api in apis), 300)
        undisturbed = registration(chance)
        answer = clients[0].ask(undisturbed)
        assert answer is not None
        assert answer.status_code == 201, answer.text
        for client in clients:
            client.start()
        _kill_them(apis, clients, cluster, chance)
        wait_for(lambda: all(api.ready for api in apis), 300)
        for client in clients:
            client.end()
        count = _check(cluster, clients, undisturbed)
    finally:
        for client in clients:
            client.close()
        for api in apis:
            api.close()
        forks.close()
    record_property("kill -9", f"{KILLS} ({OF_THE_DATABASE} of PostgreSQL); {count}")


def _kill_them(apis: list[ForkedApi], clients: list[Client], cluster: Cluster, chance: Random) -> None:
    """Kill one at any moment, but each only after something more was acknowledged, however slow the machine is."""
    database = set(chance.sample(range(KILLS), OF_THE_DATABASE))
    for kill in range(KILLS):
        wait_for(lambda kill=kill: count_acknowledged(clients) > kill + 1, 300, every_s=0.05)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.4))
        if kill in database:
            kill_database(cluster)
        else:
            api = chance.choice([api for api in apis if api.ready] or apis)
            api.kill()
            api.start()


def count_acknowledged(clients: list[Client]) -> int:
    return sum(request.answer is not None for client in clients for request in [*client.sent])


def _check(cluster: Cluster, clients: list[Client], undisturbed: Sent) -> str:
    assert [said for client in clients for said in client.surprises] == []
    sent = [request for client in clients for request in client.sent]
    acknowledged = [request for request in sent if request.answer is not None]
    left = asyncio.run(_left(cluster.url))
    ((whole, _),) = left.pop(undisturbed.hosts[0])
    assert whole == (1, 1, 1)
    assert {rows for found in left.values() for rows, _ in found} == {whole}, "each is there as a whole"
    assert max(map(len, left.values())) == 1, "none is there twice"
    there = {host: code for host, ((_, code),) in left.items()}
    assert there.keys() <= {host for request in sent for host in request.hosts}
    for request in sent:
        assert len(there.keys() & set(request.hosts)) in {0, len(request.hosts)}, (
            "a spreadsheet is there as a whole, or not"
        )
    for request in acknowledged:
        assert [there.get(host) for host in request.hosts] == codes(request.answer), "it is there, as it was answered"
    for request in acknowledged[:: max(1, len(acknowledged) // 40)]:
        answer = clients[0].ask(request)
        assert answer is not None
        assert (answer.headers.get("idempotent-replayed"), codes(answer.json())) == ("true", codes(request.answer))
    assert len(asyncio.run(_left(cluster.url))) == len(left) + 1, "nothing that is sent again is made again"
    cut_off = sum(request.cut_off for request in sent)
    assert len(acknowledged) > KILLS
    assert cut_off > KILLS / 5, "the kills met requests under way"
    imports = sum(request.path != "/sites" for request in acknowledged)
    return f"{len(acknowledged) - imports} registrations, {imports} imports acknowledged; {cut_off} requests cut off"


async def _left(url: str) -> dict[str, list[tuple[tuple[int, int, int], str]]]:
    """By host: its sites, each with what hangs on it and its code."""
    engine = open_engine(url, name="test")
    found: dict[str, list[tuple[tuple[int, int, int], str]]] = {}
    async with engine.connect() as connection:
        for row in await connection.execute(LEFT):
            found.setdefault(row.host, []).append(((row.configurations, row.statuses, row.entries), row.code))
    await engine.dispose()
    return found
