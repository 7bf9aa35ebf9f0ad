"""Simulate a month of speed tests with three data budgets: what is spent, when, and why tests are skipped."""

import asyncio
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.clock import WITA, utc_now
from app.measurements import partitions
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.registry import providers
from app.runtime.migrate import migrate
from app.worker.speedtest_runner import SpeedtestRunner
from tests.support.speedtest_month import DONE, Month

SITES, PROVIDERS = 300, 12
BUDGETS_MB: dict[str, list[int | None]] = {
    "each technology's own": [None],
    "300 MB": [300],
    "own, 300 and 900 MB mixed": [None, 300, 900],
}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(_main(cluster.url))
        finally:
            cluster.stop()


async def _main(url: str) -> None:
    engine = open_engine(url, name="bench")
    async with engine.begin() as connection:
        await connection.execute(text(f'ALTER DATABASE "{make_url(url).database}" SET synchronous_commit = off'))
    await engine.dispose()
    await migrate(engine)
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await partitions.create_ahead(session, utc_now())
        await providers.ensure_providers(session, {f"p{n}": f"P{n}" for n in range(PROVIDERS)})
        provider_ids = list(await session.scalars(text("SELECT id FROM provider WHERE slug LIKE 'p_%' ORDER BY id")))
    failed = False
    for name, budgets in BUDGETS_MB.items():
        failed |= not await _month(sessions, provider_ids, name, budgets)
        async with transaction(sessions) as session:
            await session.execute(
                text(
                    "TRUNCATE throughput_test, throughput_watermark, push_traffic, device, "
                    "site_configuration, site_status, site CASCADE"
                )
            )
    await engine.dispose()
    if failed:
        sys.exit("FAILED")


async def _month(sessions: Sessions, provider_ids: list[int], name: str, budgets: list[int | None]) -> bool:
    started = time.monotonic()
    month = Month(sessions, provider_ids)
    await month.register(SITES, budgets)
    await month.simulate(SpeedtestRunner(sessions, month.run), restart_each=500)
    rows, spent, planned = await month.rows(), await month.spent_bytes(), await month.planned()
    over = month.over_budget(spent)
    ran = sum(row.status in DONE for row in rows)
    skipped = Counter(row.reason for row in rows if row.status == "skipped")
    hours: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        if row.started_at:
            hours[row.technology].add(row.started_at.astimezone(WITA).hour)
    share = max((spent[site] / (month.sites[site] * 1e6) for site in spent if month.sites[site]), default=0.0)
    print(f"{name}: {SITES} sites, {planned.total():,} planned, {ran:,} run, in {time.monotonic() - started:.0f} s")
    print(f"  skipped: {dict(skipped)}; planned - run - skipped = {planned.total() - ran - skipped.total()}")
    print(f"  over their budget: {len(over)} sites; highest use: {share:.1%} of a budget")
    print(f"  hours of the day with tests: { {kind: len(found) for kind, found in sorted(hours.items())} }", flush=True)
    return not over and planned.total() == ran + skipped.total() and None not in skipped
