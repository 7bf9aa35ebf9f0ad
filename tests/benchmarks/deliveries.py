"""20 probers deliver 20,000 readings a second to one `sinyal api`; two `sinyal worker` judge them, a shard each.

PROBERS=20 SITES=200000 SECONDS=180 LOST=0.001 python -m tests.benchmarks.deliveries. Each site is looked at every 10 s.
At the end every acknowledged reading must be stored once. Clients and PostgreSQL run on the same machine.
"""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.access.api_tokens import digest
from app.core.clock import to_micros
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine
from app.settings import ROOT
from tests.benchmarks.delivering_clients import ROUND_S
from tests.benchmarks.scale_registry import fill
from tests.conftest import make_database
from tests.support.demo_process import cpu_s, resident_mb, wait_for
from tests.support.killing import Api

SHARDS = 2
WARM_UP_S, DRAIN_S = 2 * ROUND_S, 900
SETTINGS = {"SINYAL_JUDGING_SHARDS": str(SHARDS), "SINYAL_CANARIES": ""}
FROM_A_PROBER = (
    "INSERT INTO vantage (number, name, label) VALUES (1, 'bench', 'Bench')",
    "UPDATE site SET vantages = '{1}'",
    "UPDATE site_configuration SET vantages = '{1}'",
)
PROBER = text("""
    INSERT INTO prober (name, vantage, digest, created_by) SELECT 'bench-' || n, 1, digest, 'bench'
    FROM unnest(cast(:digests AS bytea[])) WITH ORDINALITY AS d(digest, n)
""")
WAITING = (
    "SELECT coalesce(sum(readings), 0), coalesce(extract(epoch FROM now() - min(received_at)), 0) FROM prober_inbox"
)
STORED = "SELECT count(*), count(DISTINCT (site_id, slot, source)) FROM measurement"
SHARD_SIZES = "SELECT shard, count(*) FROM site_status GROUP BY 1 ORDER BY 1"
STATES = "SELECT state, count(*) FROM site_status GROUP BY 1 ORDER BY 1"


def main() -> None:
    probers, sites = int(os.environ.get("PROBERS", "20")), int(os.environ.get("SITES", "200000"))
    seconds = float(os.environ.get("SECONDS", "180"))
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder) / "data")
        cluster.start()
        try:
            measure(cluster, Path(folder), probers, sites, seconds)
        finally:
            cluster.stop()


def measure(cluster: Cluster, folder: Path, probers: int, sites: int, seconds: float) -> None:
    url = asyncio.run(make_database(cluster.url))
    began = time.monotonic()
    asyncio.run(fill(url, sites, FROM_A_PROBER))
    tokens = [f"sp-{secrets.token_urlsafe(32)}" for _ in range(probers)]
    addressed_at = asyncio.run(_register(url, tokens))
    print(f"{sites:,} sites registered in {time.monotonic() - began:.0f} s", flush=True)
    bounds = [1 + sites * n // probers for n in range(probers + 1)]
    options: dict[str, Any] = {"probers": [(token, (bounds[n], bounds[n + 1])) for n, token in enumerate(tokens)]}
    options |= {"addressed_at": addressed_at, "lost": 0.0}
    with _running(url, folder) as (api, workers):
        options["url"] = api.url
        pids = {"api": api.pid, "database": cluster.pid} | {f"worker {n}": pid for n, pid in enumerate(workers)}
        warm = _deliver(options | {"seconds": WARM_UP_S})
        _drain(url)
        print(f"warmed up with {warm['acknowledged']:,} readings; shards {_query(url, SHARD_SIZES)}", flush=True)
        before = {name: cpu_s(pid) for name, pid in pids.items() if pid}
        began = time.monotonic()
        lost = float(os.environ.get("LOST", "0.001"))
        result = _deliver(options | {"seconds": seconds, "lost": lost})
        took_s = time.monotonic() - began
        waiting, age_s = _query(url, WAITING)[0]
        drained_s = _drain(url)
        used = {name: cpu_s(pid) - before[name] for name, pid in pids.items() if pid}
        memory = {name: resident_mb(pid) for name, pid in pids.items() if pid and name != "database"}
        states = _query(url, STATES)
    _report(result, took_s, used, memory)
    print(f"at the end {waiting:,} readings waited, the oldest for {age_s:.1f} s; none after {drained_s:.1f} s more")
    print(f"states: {states}")
    stored, distinct = _query(url, STORED)[0]
    acknowledged = warm["acknowledged"] + result["acknowledged"]
    assert stored == distinct == acknowledged, (stored, distinct, acknowledged)
    print(f"each of {acknowledged:,} acknowledged readings is stored once", flush=True)


def _report(result: dict[str, Any], took_s: float, used: dict[str, float], memory: dict[str, float]) -> None:
    readings = result["acknowledged"]
    print(
        f"{readings:,} readings in {took_s:.0f} s: {readings / took_s:,.0f} a second; slowest delivery "
        f"{result['slowest_s']:.1f} s; clients {result['cpu_s']:.0f} CPU s"
    )
    for name, seconds in used.items():
        needed = seconds / readings * 1_000_000 / 60
        held = f", {memory[name]:.0f} MB" if name in memory else ""
        print(
            f"    {name}: {seconds:.1f} CPU s, {1e6 * seconds / readings:.1f} µs a reading{held}; "
            f"1,000,000 sites a minute: {needed:.2f} cores"
        )


@contextlib.contextmanager
def _running(url: str, folder: Path) -> Iterator[tuple[Api, list[int]]]:
    env = os.environ | {"SINYAL_DATABASE_URL": url} | SETTINGS
    os.environ.update(SETTINGS)
    api, workers = Api(url, folder / "api"), list[subprocess.Popen[bytes]]()
    try:
        api.start()
        wait_for(lambda: api.ready, 60)
        for n in range(SHARDS):
            with (folder / f"worker-{n}.log").open("wb") as log:
                own = env | {"SINYAL_DATA_DIR": str(folder / f"worker-{n}")}
                argv = [sys.executable, "-m", "app.cli", "worker"]
                workers.append(subprocess.Popen(argv, cwd=ROOT, env=own, stdout=log, stderr=log))
        wait_for(lambda: len(_query(url, "SELECT 1 FROM change_counter WHERE name = 'shard-1'")) == 1, 120, every_s=1)
        yield api, [worker.pid for worker in workers]
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(60)
        for log_file in sorted(folder.glob("*.log")):
            _print_log(log_file)
        api.close()


def _print_log(log: Path) -> None:
    lines = [line for line in log.read_text().splitlines() if "[warning" in line or "[error" in line]
    for line in lines[:10]:
        print(f"    {log.stem}: {line[:300]}")


def _drain(url: str) -> float:
    began = time.monotonic()
    wait_for(lambda: _query(url, WAITING)[0][0] == 0, DRAIN_S, every_s=0.5)
    return time.monotonic() - began


def _deliver(options: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.delivering_clients"]
    process = subprocess.run(command, input=json.dumps(options), capture_output=True, text=True, cwd=ROOT)
    assert process.returncode == 0, process.stderr[-4000:]
    result: dict[str, Any] = json.loads(process.stdout)
    return result


async def _register(url: str, tokens: list[str]) -> int:
    """Return since when the sites have their address, in microseconds."""
    engine = open_engine(url, name="bench", command_timeout_s=None)
    async with engine.begin() as connection:
        await connection.execute(PROBER, {"digests": [digest(token) for token in tokens]})
        at = (await connection.execute(text("SELECT min(addressed_at) FROM site"))).scalar_one()
    await engine.dispose()
    return to_micros(at)


def _query(url: str, statement: str) -> list[Any]:
    async def fetch() -> list[Any]:
        engine = open_engine(url, name="bench", command_timeout_s=None)
        async with engine.connect() as connection:
            rows = [tuple(row) for row in await connection.execute(text(statement))]
        await engine.dispose()
        return rows

    return asyncio.run(fetch())


if __name__ == "__main__":
    main()
