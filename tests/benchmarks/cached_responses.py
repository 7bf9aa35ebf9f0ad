"""The same query about the past, repeated: cached responses against computed ones.

One API process, 1,038 sites with two months of outages; days that are over are counted.
"""

import asyncio
import shutil
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import httpx

from app.access import api_tokens
from app.access.models import Role
from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine, open_sessions, transaction
from app.runtime.migrate import migrate
from tests.benchmarks.availability import TODAY, analyze, count_past, write_past
from tests.benchmarks.polling import load, served
from tests.conftest import make_database
from tests.support.demo_process import free_port

DAYS, TIMES = 60, 7
START, END = TODAY - timedelta(days=31), TODAY - timedelta(days=1)
QUERIES = {
    "the province's month by days": "/regions/64/uptime?step=day",
    "ranking of all sites, a month": "/ranking?by=site",
    "a site's month by hours": "/sites/500/uptime?step=hour",
    "latency of the province, a month": "/regions/64/latency?step=day",
}


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            _repeat(cluster.url)
        finally:
            cluster.stop()


async def fill(url: str, *, days: int) -> str:
    """Fill a database with this many counted days of outages; return an API token for it."""
    engine = open_engine(url, name="bench", command_timeout_s=None)
    await migrate(engine)
    sessions = open_sessions(engine)
    await write_past(sessions, days=days)
    await count_past(sessions, days=days)
    await analyze(engine)
    async with transaction(sessions) as session:
        secret = await api_tokens.create_token(session, name="bench", role=Role.VIEWER)
    await engine.dispose()
    return secret


def _repeat(server: str) -> None:
    url = asyncio.run(make_database(server))
    headers = {"Authorization": f"Bearer {asyncio.run(fill(url, days=DAYS))}", "Accept-Encoding": "gzip"}
    port = free_port()
    print(f"{'':<36}{'computed':>12}{'cached':>14}{'304':>12}   requests/s, highest p99, cached : computed")
    with (
        served("without_refresh", port, SINYAL_DATABASE_URL=url),
        httpx.Client(
            headers=headers, base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, timeout=60
        ) as client,
    ):
        for name, path in QUERIES.items():
            print(f"{name:<36}" + _measure(client, path, headers))


def _measure(client: httpx.Client, path: str, headers: dict[str, str]) -> str:
    def query(second: int) -> str:
        """Return a query that starts a second later each time, so that it is not cached."""
        start, end = START + timedelta(seconds=second), END
        return f"{path}&from={start:%Y-%m-%dT%H:%M:%SZ}&to={end:%Y-%m-%dT%H:%M:%SZ}"

    took = []
    for second in range(TIMES):
        started = time.perf_counter()
        client.get(query(second)).raise_for_status()
        took.append(time.perf_counter() - started)
    computed = 1 / statistics.median(took[1:])
    etag = client.get(query(0)).headers["etag"]
    address = f"{client.base_url}{query(0).removeprefix('/')}"
    cached, unchanged = load(address, headers), load(address, headers | {"If-None-Match": etag})
    worst = max(cached.p99_ms, unchanged.p99_ms)
    ratio = cached.rate / computed
    return f"{computed:>12,.1f}{cached.rate:>14,.0f}{unchanged.rate:>12,.0f}   {worst:.0f} ms   {ratio:,.0f}"


if __name__ == "__main__":
    main()
