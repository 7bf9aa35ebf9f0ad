"""One server for all agents that run here."""

from collections.abc import AsyncIterator

import pytest

from app.postgres.engine import open_engine, open_sessions
from tests.conftest import drop_database, make_database
from tests.support.served_api import Served, served


@pytest.fixture(scope="package")
async def server(server_url: str, migrated_template: str) -> AsyncIterator[Served]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="agents")
    async with served(url, open_sessions(engine), anchors=["127.0.8.1", "127.0.8.2"]) as server:
        yield server
    await engine.dispose()
    await drop_database(url, server_url)
