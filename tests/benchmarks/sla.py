"""The month's list of every site and contract, computed anew: JSON, CSV and XLSX, beside the bare SQL sum of its days.

One API process, 1,038 sites under contract with three outages a day; 92 days that are over are counted. Beside each
request another one asks `/healthz` every 10 ms: its longest wait says how long the event loop was held up.
"""

import asyncio
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx

from app.core.clock import WITA
from app.postgres.embedded import Cluster
from tests.benchmarks.availability import TODAY
from tests.benchmarks.cached_responses import fill
from tests.benchmarks.polling import served
from tests.conftest import make_database
from tests.support.demo_process import free_port

DAYS, TIMES, POLL_EVERY_S = 92, 9, 0.01
LAST_DAY = TODAY.astimezone(WITA).date().replace(day=1) - timedelta(days=1)
MONTH = f"{LAST_DAY:%Y-%m}"
PATHS = {
    "JSON, the first 100 rows": "/sla?limit=100",
    "JSON, 1,000 rows": "/sla?limit=1000",
    "CSV, whole": "/sla?format=csv",
    "XLSX, whole": "/sla?format=xlsx",
    "the province's uptime": "/regions/64/uptime?step=day",
    "ranking of all sites": "/ranking?by=site",
}
BARE_SUM = """
SELECT site_id, contract_id, terms_on, sum(covered_s), sum(service_s), sum(good_s), sum(counted_down_s), sum(unknown_s)
FROM contract_day WHERE day BETWEEN $1 AND $2 GROUP BY site_id, contract_id, terms_on
"""
FORGET = "UPDATE change_counter SET version = version + 1 WHERE name = 'registry'"  # so that no response is reused


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(_measure(cluster.url))
        finally:
            cluster.stop()


async def _measure(server: str) -> None:
    url = await make_database(server)
    headers = {"Authorization": f"Bearer {await fill(url, days=DAYS)}"}
    port = free_port()
    database = await asyncpg.connect(url.replace("+asyncpg", ""))
    with served("without_refresh", port, SINYAL_DATABASE_URL=url):
        async with httpx.AsyncClient(
            headers=headers, base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as client:
            print(
                f"{'':<28}{'median ms':>12}{'highest ms':>12}{'kB':>9}{'loop held ms':>14}   {MONTH}, median of {TIMES}"
            )
            print(f"{'bare SQL sum of the days':<28}" + await _bare(database))
            for name, path in PATHS.items():
                print(f"{name:<28}" + await _timed(client, database, f"/api/v1{path}&period={MONTH}"))
    await database.close()


async def _bare(database: asyncpg.Connection) -> str:
    took_ms = []
    for _ in range(TIMES + 1):
        started = time.perf_counter()
        await database.fetch(BARE_SUM, LAST_DAY.replace(day=1), LAST_DAY)
        took_ms.append(1000 * (time.perf_counter() - started))
    return f"{statistics.median(took_ms[1:]):>12.1f}{max(took_ms[1:]):>12.1f}"


async def _timed(client: httpx.AsyncClient, database: asyncpg.Connection, path: str) -> str:
    took_ms, held_ms, size = [], [0.0], 0
    for _ in range(TIMES + 1):
        await database.execute(FORGET)
        polling = asyncio.create_task(_poll(client, held_ms))
        started = time.perf_counter()
        answer = await client.get(path)
        took_ms.append(1000 * (time.perf_counter() - started))
        polling.cancel()
        answer.raise_for_status()
        size = len(answer.content)
    return f"{statistics.median(took_ms[1:]):>12.1f}{max(took_ms[1:]):>12.1f}{size / 1000:>9.0f}{max(held_ms):>14.0f}"


async def _poll(client: httpx.AsyncClient, held_ms: list[float]) -> None:
    """Append how long each of the polls waited for its answer."""
    while True:
        started = time.perf_counter()
        await client.get("/healthz")
        held_ms.append(1000 * (time.perf_counter() - started))
        await asyncio.sleep(POLL_EVERY_S)


if __name__ == "__main__":
    main()
