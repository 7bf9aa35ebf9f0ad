"""Rolling upgrade: the version before beside this one behind HAProxy, replaced one by one under polling and pushing.

UPGRADE_FROM: the commit of the version before; by default the last tag, or twenty commits ago.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from app.core.clock import utc_now
from app.postgres.embedded import Cluster
from app.postgres.urls import dsn
from app.settings import ROOT
from tests.benchmarks.upgrade_clients import Clients
from tests.benchmarks.upgrade_machines import ROLES, Front, Machine, Version
from tests.conftest import make_database
from tests.support.demo_process import free_port

PROBED, PUSHING, INTERVAL_S = 100, 100, 20
VILLAGE = "64.02.05.2003"
GAPS = """
    SELECT count(*), coalesce(max(apart), 0) FROM (
        SELECT extract(epoch FROM slot - lag(slot) OVER (PARTITION BY site_id ORDER BY slot)) AS apart
        FROM measurement WHERE source = 'central' AND slot >= $1) AS looks
    WHERE apart > $2
"""
LOST = """
    SELECT coalesce(sum(extract(epoch FROM coalesce(ended_at, now()) - greatest(started_at, $1))), 0), state,
        count(*) FROM state_segment
    WHERE state <> 'up' AND coalesce(ended_at, now()) > $1 GROUP BY state
"""
# Whatever lies between the two: what is read by SELECT * has a column more, and the revision is one that nobody knows.
WIDEN = [
    *(
        f"ALTER TABLE {table} ADD COLUMN bench int NOT NULL DEFAULT 0"
        for table in (
            "site",
            "site_status",
            "site_configuration",
            "state_segment",
            "measurement",
            "push_inbox",
            "incident",
            "device",
        )
    ),
    "UPDATE alembic_version SET version_num = 'newer'",
]
STORED = """
    SELECT count(*) FILTER (WHERE source = 'agent' AND reason IS NULL), count(*) FILTER (WHERE source = 'central'),
        (SELECT count(*) FROM site_status WHERE state = 'up') FROM measurement
"""


def main() -> None:
    before = os.environ.get("UPGRADE_FROM") or _git("tag", "--sort=-creatordate").partition("\n")[0] or "HEAD~20"
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent:
        folder = Path(parent)
        _git("worktree", "add", "--detach", "--force", str(folder / "before"), before)
        cluster = Cluster(folder / "pg")
        cluster.start()
        try:
            print(f"from {_git('rev-parse', '--short', before)} to this version", flush=True)
            asyncio.run(_main(cluster.url, folder))
        finally:
            cluster.stop()
            _git("worktree", "remove", "--force", str(folder / "before"))


async def _main(server_url: str, folder: Path) -> None:
    url = await make_database(server_url)
    before, after = Version(folder / "before"), Version(ROOT)
    pages, devices = free_port(), free_port()
    environment = _environment(url, f"http://127.0.0.1:{devices}")
    machines = [
        Machine(number, environment | {"SINYAL_DATA_DIR": str(folder / f"data-{number}")}, folder) for number in (1, 2)
    ]
    before.run("migrate", environment=machines[0].environment)
    token = before.run(
        "token", "create", "--name", "bench", "--role", "province_admin", environment=machines[0].environment
    ).split()[-1]
    check = "/readyz" if before.drains else "/healthz"  # before, a database that was newer made /readyz fail
    front = Front.start(folder, machines, pages=pages, devices=devices, check=check)
    try:
        for machine in machines:
            for role in ROLES:
                await asyncio.to_thread(machine.start, before, role)
        await asyncio.sleep(3)
        device_tokens = await _register(front.pages, token)
        clients = Clients(front.pages, front.devices, token, device_tokens)
        clients.start()
        await asyncio.sleep(90)
        since = utc_now()
        await _upgrade(before, after, machines, front, url)
        await asyncio.sleep(75)
        await clients.end()
        await asyncio.sleep(15)
        if not await _report(url, clients, since):
            sys.exit("FAILED")
    finally:
        front.end()
        for machine in machines:
            machine.kill()


async def _upgrade(before: Version, after: Version, machines: list[Machine], front: Front, url: str) -> None:
    began = time.monotonic()
    await asyncio.to_thread(after.run, "migrate", environment=machines[0].environment)
    print(f"migrated beside the version before: {time.monotonic() - began:.1f} s")
    connection = await asyncpg.connect(dsn(url))
    for statement in WIDEN:
        await connection.execute(statement)
    await connection.close()
    await asyncio.sleep(10)
    for machine in reversed(machines):  # the one whose worker stands by first
        for role in ROLES:
            if role != "worker" and not before.drains:
                front.set_state(role, machine.number, "maint")
                await asyncio.sleep(1)
            ended_s = await asyncio.to_thread(machine.end, role)
            began = time.monotonic()
            await asyncio.to_thread(machine.start, after, role)
            front.set_state(role, machine.number, "ready") if role != "worker" else None
            print(f"machine {machine.number}, {role}: ended in {ended_s:.1f} s, up in {time.monotonic() - began:.1f} s")
            await asyncio.sleep(5)


async def _report(url: str, clients: Clients, since: datetime) -> bool:
    """Print what clients were told and what is missing; return whether nothing is."""
    connection = await asyncpg.connect(dsn(url))
    ((gaps, widest),) = await connection.fetch(GAPS, since, 1.6 * INTERVAL_S)
    lost = {row["state"]: (int(row[0]), row["count"]) for row in await connection.fetch(LOST, since)}
    blind = await connection.fetch(
        "SELECT source, reason, ended_at - started_at AS s FROM blind WHERE ended_at > $1", since
    )
    rows = sum(clients.accepted.values())
    ((stored, looks, up),) = await connection.fetch(STORED)
    await connection.close()
    print(f"asked: {dict(clients.asked)}, the slowest {clients.slowest_s:.2f} s")
    print(f"pushes: {dict(clients.pushed)}; rows accepted {rows}, stored {stored}")
    print(f"looks: {looks}; further apart than {1.6 * INTERVAL_S:.0f} s: {gaps}, at most {widest:.0f} s")
    print(f"sites up: {up} of {PROBED + PUSHING}; seconds (segments) that were not up: {lost or 'none'}")
    print(f"blind: {[tuple(row) for row in blind] or 'never'}")
    told = {*clients.asked, *clients.pushed} - {"200", "duplicates", "rejected rows"}
    return (
        not told
        and not clients.pushed["rejected rows"]
        and not gaps
        and not lost
        and rows == stored
        and up == PROBED + PUSHING
    )


async def _register(pages: str, token: str) -> list[str]:
    """Register the sites over the API; return the tokens of those that push."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{pages}/api/v1", headers=headers, timeout=60, trust_env=False) as client:

        async def add(**more: Any) -> int:
            body = {"village_code": VILLAGE, "technology": "fiber", "provider": "telkom-wms", **more}
            answer = await client.post("/sites", json=body)
            answer.raise_for_status()
            return int(answer.json()["id"])

        await client.post("/providers", json={"slug": "telkom-wms", "name": "Telkom WMS"})
        for number in range(PROBED):
            await add(probe="icmp", host=f"127.1.0.{number + 1}")
        tokens = []
        for _ in range(PUSHING):
            answer = await client.post(f"/sites/{await add(probe='push')}/agent?kind=own")
            answer.raise_for_status()
            tokens.append(answer.text.strip())
    return tokens


def _environment(url: str, devices: str) -> dict[str, str]:
    return os.environ | {
        "SINYAL_DATABASE_URL": url,
        "SINYAL_INGEST_URL": devices,
        "SINYAL_PROBE__ALLOW": "127.0.0.0/8",
        "SINYAL_PROBE__INTERVAL_S": str(INTERVAL_S),
        "SINYAL_CANARIES": "127.2.0.1,127.2.0.2",
        "SINYAL_TRUSTED_PROXIES": "127.0.0.1",
        "SINYAL_LIMITS__REQUESTS_PER_S": "0",
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
