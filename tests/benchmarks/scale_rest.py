"""What a reading takes at rest: a simulated day of 1,038 sites, with its indexes and what is stored apart."""

import asyncio
import tempfile
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

SITES, DAYS, LIMIT_BYTES = 1_038, 2, 12
ROWS = """
    SELECT (SELECT count(*) FROM measurement) AS readings, sum(pg_total_relation_size(oid)) AS bytes
    FROM pg_class WHERE relkind = 'r' AND relname LIKE 'measurement\\_%'
"""
PACKS = "SELECT sum(readings) AS readings, pg_total_relation_size('reading_pack') AS bytes FROM reading_pack"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(_measure(cluster.url))
        finally:
            cluster.stop()


async def _measure(server_url: str) -> None:
    engine = open_engine(await make_database(server_url), name="bench", command_timeout_s=None)
    await migrate(engine)
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, PROVIDERS)
        await register(session, planned_sites(REGIONS_CSV, Script(sites=SITES)))
    await write_history(engine, days=DAYS, say=lambda _: None)
    async with transaction(open_sessions(engine)) as session:
        has_packs = await session.scalar(text("SELECT to_regclass('reading_pack') IS NOT NULL"))
        for name, statement in (("rows", ROWS), ("packs", PACKS))[: 2 if has_packs else 1]:
            found = (await session.execute(text(statement))).one()
            if found.readings:
                each = float(found.bytes) / float(found.readings)
                print(f"{name}: {found.readings:,} readings, {each:.1f} bytes each (limit of packs {LIMIT_BYTES})")
    await engine.dispose()


if __name__ == "__main__":
    main()
