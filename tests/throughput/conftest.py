"""A migrated database with real commits: speed tests start and end on connections of their own."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.clock import utc_now
from app.measurements import partitions
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.registry import providers
from app.runtime.migrate import migrate
from tests.conftest import drop_database, make_database

WRITTEN = (
    *("throughput_test", "throughput_watermark", "push_traffic", "device", "certificate"),
    *("site_configuration", "site_status", "site"),
)


@pytest.fixture(scope="module")
async def migrated(server_url: str) -> AsyncIterator[Sessions]:
    url = await make_database(server_url)
    engine = open_engine(url, name="test")
    async with engine.begin() as connection:  # a month has thousands of commits, and no crash is simulated
        await connection.execute(text(f'ALTER DATABASE "{make_url(url).database}" SET synchronous_commit = off'))
    await engine.dispose()
    await migrate(engine)
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await partitions.create_ahead(session, utc_now())
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS", "iconplus": "Icon+", "orbit": "Orbit"})
    yield sessions
    await engine.dispose()
    await drop_database(url, server_url)


@pytest.fixture
async def committed_sessions(migrated: Sessions) -> AsyncIterator[Sessions]:
    yield migrated
    async with transaction(migrated) as session:  # TRUNCATE would cascade to tables that refuse it
        for table in WRITTEN:
            await session.execute(text(f"DELETE FROM {table}"))  # names of ours
