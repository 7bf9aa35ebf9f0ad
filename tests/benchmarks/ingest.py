"""Pushes of 6,000 devices to one `sinyal api` process, with the client and PostgreSQL on the same machine.

Afterwards every acknowledged row must be in a receipt, and once in the inbox.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text

from app.access.api_tokens import digest
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine
from app.push.timestamps import ARRIVAL
from app.settings import ROOT
from tests.conftest import make_database
from tests.push.fleet import fill
from tests.support.demo_process import cpu_s, wait_for
from tests.support.killing import Api

DEVICES, SECONDS = 6_000, 10
BEATS_LIMIT, ROWS_LIMIT = 3_000, 50_000  # a second
PARTS: dict[str, dict[str, Any]] = {
    "beats": {"rows": 0, "gzip": False, "connections": 128},
    "batches of 1,000": {"rows": 1000, "gzip": False, "connections": 8},
    "batches of 1,000, gzip": {"rows": 1000, "gzip": True, "connections": 8},
}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder) / "data")
        cluster.start()
        try:
            for name, part in PARTS.items():
                url = asyncio.run(make_database(cluster.url))
                tokens = asyncio.run(fill(url, DEVICES))
                _measure(name, part, cluster, url, tokens, Path(folder))
        finally:
            cluster.stop()


def _measure(name: str, part: dict[str, Any], cluster: Cluster, url: str, tokens: list[str], folder: Path) -> None:
    ingest = Api(url, folder / "ingest", command="ingest")
    try:
        ingest.start()
        wait_for(lambda: ingest.ready, 30)
        assert cluster.pid is not None
        assert ingest.pid is not None
        options = part | {"tokens": tokens, "port": int(ingest.url.rpartition(":")[2])}
        _run(options | {"seconds": 0.5, "tokens": tokens[-600:]})
        before = cpu_s(ingest.pid), cpu_s(cluster.pid)
        result = _run(options | {"seconds": SECONDS, "tokens": tokens[:-600]})
        after = cpu_s(ingest.pid), cpu_s(cluster.pid)
    finally:
        ingest.close()
    asyncio.run(_check(url, result["by_token"], part["rows"] or 1))
    rows = result["requests"] * (part["rows"] or 1)
    rate, limit = rows / result["seconds"], ROWS_LIMIT if part["rows"] else BEATS_LIMIT
    print(
        f"{name}: {result['requests'] / result['seconds']:,.0f} requests/s, {rate:,.0f} rows/s (limit {limit:,}), "
        f"p50 {result['p50_ms']:.1f} ms, p99 {result['p99_ms']:.1f} ms"
    )
    print(
        f"    in {result['seconds']:.1f} s, CPU s: ingest {after[0] - before[0]:.1f}, "
        f"database {after[1] - before[1]:.1f}, client {result['cpu_s']:.1f}; each of {rows:,} rows is stored once",
        flush=True,
    )


def _run(options: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.push_clients"]
    process = subprocess.run(command, input=json.dumps(options), capture_output=True, text=True, check=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(process.stdout)
    assert not result["errors"], result["errors"]
    return result


async def _check(url: str, by_token: dict[str, int], rows: int) -> None:
    """Check that each acknowledged sequence number is in its device's receipt, and as many rows are in the inbox."""
    engine = open_engine(url, name="bench", command_timeout_s=None)
    async with engine.connect() as connection:
        sites = {row.digest: row.site_id for row in await connection.execute(text("SELECT * FROM device_token"))}
        query = text("SELECT site_id, seen::text AS seen FROM push_receipt")
        seen = {row.site_id: row.seen for row in await connection.execute(query)}
        waiting: dict[int, list[int]] = {}
        for row in await connection.execute(text("SELECT site_id, rows FROM push_inbox")):
            readings = (slot for slot, *_, reason in orjson.loads(row.rows) if reason != ARRIVAL)
            waiting.setdefault(row.site_id, []).extend(readings)
    await engine.dispose()
    for token, sent in by_token.items():
        site = sites[digest(token)]
        expected = f"{{[0,{sent * rows})}}" if sent else None
        assert (seen.get(site), len(waiting.get(site, []))) == (expected, sent * rows), (site, sent, seen.get(site))


if __name__ == "__main__":
    main()
