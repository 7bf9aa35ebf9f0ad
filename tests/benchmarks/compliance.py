"""The published method over a quarter, computed anew, and how long a day's looks take to be counted from readings.

1,038 sites under contract with 92 counted days, 100 speed tests a month and 60 looks an hour each; a province-wide
maintenance window a week, and service hours for one contract in ten. The other clients poll as for `sla`.
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
from app.latency import look_sql
from app.latency.looks import count_day
from app.measurements import partitions
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine, open_sessions, transaction
from tests.benchmarks.availability import TODAY
from tests.benchmarks.cached_responses import fill
from tests.benchmarks.polling import served
from tests.benchmarks.sla import FORGET
from tests.conftest import make_database
from tests.support.demo_process import free_port

DAYS, TIMES = 92, 5
PATHS = {
    "a quarter, all rows": "/compliance?",
    "a quarter, one technology": "/compliance?technology=geo&",
    "a quarter, attested, 1,000 rows": "/compliance/attested?limit=1000&",
    "a quarter, XLSX": "/compliance?format=xlsx&",
}
ROWS = (
    "UPDATE contract_terms SET bandwidth_down_mbps = 20, bandwidth_up_mbps = 10",
    "UPDATE contract_terms SET service_from = '06:00', service_to = '22:00' WHERE contract_id % 10 = 0",
    f"""INSERT INTO look_hour (site_id, hour, looks, lost, within)
        SELECT s.id, hour, 60, 1, '{{58,59,59}}' FROM site s, generate_series(
            date_trunc('day', now(), 'Asia/Makassar') - interval '{DAYS} days',
            date_trunc('day', now(), 'Asia/Makassar') - interval '1 hour', interval '1 hour') AS hour""",
    f"""INSERT INTO look_day (site_id, day, looks, lost, within, evening_looks, evening_lost, evening_within)
        SELECT site_id, (hour AT TIME ZONE 'Asia/Makassar')::date AS day, {look_sql.sums_of_hours()}
        FROM look_hour GROUP BY 1, 2""",
    f"""INSERT INTO throughput_test (site_id, planned_at, month, mode, status, reason, technology, provider_id,
            village_code, contract_down_mbps, contract_up_mbps, allowed_down_bytes, allowed_up_bytes, max_s,
            reserved_bytes, waits_until, started_at, down_bytes, up_bytes, down_mbps, up_mbps)
        SELECT s.id, at, date_trunc('month', at)::date, 'push', CASE n % 10 WHEN 0 THEN 'skipped' ELSE 'done' END,
            CASE n % 10 WHEN 0 THEN 'not_up' END, s.technology, s.provider_id, s.village_code, 20, 10, 1, 1, 10, 0, at,
            at, 1, 1, CASE n % 10 WHEN 0 THEN NULL ELSE 18 END, CASE n % 10 WHEN 0 THEN NULL ELSE 9 END
        FROM site s, generate_series(0, 299) AS n, LATERAL (
            SELECT now() - interval '{DAYS} days' + n * interval '7 hours' + s.id % 100 * interval '1 minute' AS at
        ) planned""",
    f"""INSERT INTO maintenance_window (started_at, ended_at, region_code, title, created_by, version)
        SELECT at, at + interval '3 hours', '64', 'works', 'sari', 1
        FROM generate_series(now() - interval '{DAYS} days', now(), interval '7 days') AS at""",
    "ANALYZE",
)
READINGS = """
    INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us)
    SELECT s.id, slot, 'central', CASE WHEN s.id % 50 = 0 THEN 'timeout' ELSE 'ok' END, 3, 60,
        CASE WHEN s.id % 50 = 0 THEN '{}' ELSE ARRAY[21000 + s.id, 22000, 140000] END
    FROM site s, generate_series(
        $1::timestamptz, $1::timestamptz + interval '1439 minutes', interval '1 minute'
    ) AS slot
"""


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
    database = await asyncpg.connect(url.replace("+asyncpg", ""))
    for statement in ROWS:
        await database.execute(statement)
    port, period = free_port(), f"from={TODAY - timedelta(days=DAYS):%Y-%m-%dT%H:%M:%SZ}&to={TODAY:%Y-%m-%dT%H:%M:%SZ}"
    with served("without_refresh", port, SINYAL_DATABASE_URL=url):
        async with httpx.AsyncClient(
            headers=headers, base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120
        ) as client:
            print(f"{'':<36}{'median ms':>12}{'highest ms':>12}{'kB':>9}   median of {TIMES}")
            for name, path in PATHS.items():
                print(f"{name:<36}" + await _timed(client, database, f"/api/v1{path}{period}"))
    await _count_a_day(url, database)
    await database.close()


async def _timed(client: httpx.AsyncClient, database: asyncpg.Connection, path: str) -> str:
    took_ms, size = [], 0
    for _ in range(TIMES):
        await database.execute(FORGET)
        started = time.perf_counter()
        answer = (await client.get(path)).raise_for_status()
        took_ms.append(1000 * (time.perf_counter() - started))
        size = len(answer.content)
    return f"{statistics.median(took_ms):>12,.0f}{max(took_ms):>12,.0f}{size / 1000:>9,.0f}"


async def _count_a_day(url: str, database: asyncpg.Connection) -> None:
    yesterday = TODAY - timedelta(days=1)
    day = yesterday.astimezone(WITA).date()
    engine = open_engine(url, name="bench", command_timeout_s=None)
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await partitions.create_past(session, yesterday, TODAY)
    await database.execute(READINGS, yesterday)
    await database.execute("ANALYZE measurement")
    sites = [row["id"] for row in await database.fetch("SELECT id FROM site ORDER BY id LIMIT 1000")]
    for _ in range(2):
        started = time.perf_counter()
        async with transaction(sessions) as session:
            await count_day(session, day, sites)
        print(f"a day's looks of {len(sites)} sites, from 1,440,000 readings: {time.perf_counter() - started:.1f} s")
    await engine.dispose()


if __name__ == "__main__":
    main()
