"""Write a simulated past: time and table sizes. `ARGS="history"`, or as a module with days and sites: `365 1038`."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from app.postgres.embedded import Cluster
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.registry.regions import REGIONS_CSV
from app.runtime.migrate import migrate
from simulator.history.write import write_history
from simulator.registration import planned_sites, register
from simulator.script import Script
from simulator.villages import PROVIDERS
from tests.conftest import make_database

TABLES = (
    "state_segment",
    "measurement",
    "checkpoint",
    "rollup_hour",
    "rollup_day",
    "region_day",
    "region_month",
    "availability_day",
    "region_availability_day",
    "outage_part",
    "incident",
    "incident_site",
)
SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(i.inhrelid)), 0) + pg_total_relation_size('{table}')
    FROM pg_inherits i WHERE i.inhparent = '{table}'::regclass
"""


def main() -> None:
    days, sites = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((1, 90), (2, 1_038)))
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(measure(cluster.url, days=days, sites=sites))
        finally:
            cluster.stop()


async def measure(server_url: str, *, days: int, sites: int) -> None:
    engine = open_engine(await make_database(server_url), name="bench", command_timeout_s=None)
    sessions = open_sessions(engine)
    await migrate(engine)
    async with transaction(sessions) as session:
        await providers.ensure_providers(session, PROVIDERS)
        await register(session, planned_sites(REGIONS_CSV, Script(sites=sites, nodes=20)))
    began, cpu = time.perf_counter(), time.process_time()
    await write_history(engine, days=days, say=_say(began))
    took, own = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"{days} days of {sites:,} sites and 20 towers: {took:.1f} s, {own:.1f} s of our own CPU; "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    )
    async with transaction(sessions) as session:
        for table in TABLES:
            rows = await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0
            size = float(await session.scalar(text(SIZE.format(table=table))) or 0)
            print(f"{table:<24} {rows:>11,} rows {size / 1e6:>9.1f} MB")
    await engine.dispose()


def _say(began: float):  # type: ignore[no-untyped-def]
    return lambda line: print(f"{time.perf_counter() - began:7.1f} s  {line}", flush=True)


if __name__ == "__main__":
    main()
