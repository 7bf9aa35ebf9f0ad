"""The registry of a run, the simulated network that answers for it, and what happens there: the truth."""

import csv
import json
import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path

import asyncpg
from sqlalchemy import text

from app.access import api_tokens
from app.access.models import Role
from app.postgres.engine import open_engine, open_sessions, transaction
from simulator.host_plan import SimulatedHost
from tests.benchmarks.kills import PUSH, PUSHING, TOKEN
from tests.benchmarks.scale_registry import fill

TECHNOLOGIES = ("fiber", "radio", "cellular", "leo", "geo")
OUTAGE_S, OUTAGE_EVERY_S, LASTS_S = 60, 25, 3 * 3600.0
FIRST_TROUBLED, TROUBLED = 56, 60  # sites that have outages of their own: pinged, and no nodes
HOSTS = """
    SELECT s.host, s.technology, s.code, s.village_code, p.slug, s.kind, coalesce(n.code, ''), s.probe
    FROM site s JOIN provider p ON p.id = s.provider_id LEFT JOIN site n ON n.id = s.parent_id
    WHERE s.host IS NOT NULL ORDER BY s.id
"""


@dataclass(frozen=True)
class Registered:
    token: str  # of a province_admin
    hosts: Sequence[SimulatedHost]
    devices: Sequence[tuple[int, str]]  # site id and device token
    villages: Sequence[str]


async def register(url: str, sites: int, *changes: str) -> Registered:
    """Migrate the database and register the sites, some of which push; `changes` are statements on them."""
    await fill(url.replace("postgresql://", "postgresql+asyncpg://"), sites, [*PUSH.split(";"), *changes])
    engine = open_engine(url.replace("postgresql://", "postgresql+asyncpg://"), name="cluster")
    try:
        async with transaction(open_sessions(engine)) as session:
            token = await api_tokens.create_token(session, name="cluster", role=Role.PROVINCE_ADMIN, days=1)
            hosts = [SimulatedHost(*row) for row in (await session.execute(text(HOSTS))).tuples()]
    finally:
        await engine.dispose()
    devices = [(site, TOKEN.format(site)) for site in range(1, PUSHING + 1)]
    return Registered(token, hosts, devices, sorted({host.village_code for host in hosts}))


def write_hosts(hosts: Sequence[SimulatedHost], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as lines:
        rows = csv.writer(lines)
        rows.writerow(field.name for field in fields(SimulatedHost))
        rows.writerows(astuple(host) for host in hosts)


def write_script(hosts: Sequence[SimulatedHost], file: Path, *, seed: int = 1) -> None:
    """Write a network that loses no packet, but for outages of one troubled site after the other."""
    chance = random.Random(seed)
    codes = [host.code for host in hosts[FIRST_TROUBLED - PUSHING :] if host.kind == "access_point" and not host.parent]
    troubled = codes[:TROUBLED]
    lines = [f"seed = {seed}"]
    lines += [f"[technology.{name}]\nloss_pct = 0.0" for name in TECHNOLOGIES]
    start = 45.0
    while start < LASTS_S:
        lines.append(
            f'[[event]]\nkind = "outage"\nstart_s = {start:.1f}\nduration_s = {OUTAGE_S}\n'
            f'select = {{ sites = ["{chance.choice(troubled)}"] }}'
        )
        start += chance.uniform(0.7, 1.3) * OUTAGE_EVERY_S
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Outage:
    code: str
    start: datetime
    end: datetime | None  # None: it goes on


def outages(truth: Path) -> list[Outage]:
    """Return what happened so far, from the simulator's truth.jsonl."""
    ended: dict[tuple[str, str], Outage] = {}
    for line in truth.read_text().splitlines() if truth.exists() else ():
        event = json.loads(line)
        end = datetime.fromisoformat(event["ended_at"]) if event["ended_at"] else None
        for code in event["sites"]:
            ended[code, event["started_at"]] = Outage(code, datetime.fromisoformat(event["started_at"]), end)
    return list(ended.values())


async def fetch(url: str, statement: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url, timeout=3, command_timeout=60)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()
