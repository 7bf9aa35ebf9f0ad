"""Fixtures of accounts: browsers, and a database with real commits."""

from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI

from app.postgres.engine import Sessions, open_engine, open_sessions
from app.runtime.migrate import migrate
from tests.access.browser import Browser
from tests.conftest import drop_database, make_database


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[Callable[..., Browser]]:
    """Return a function that opens browsers."""
    opened: list[Browser] = []

    def open_browser(**options: str) -> Browser:
        opened.append(Browser(app, **options))
        return opened[-1]

    yield open_browser
    for browser in opened:
        await browser.client.aclose()


@pytest.fixture
async def committed(server_url: str) -> AsyncIterator[Sessions]:
    """Sessions on a database of the test's own, for tests of concurrent commits."""
    url = await make_database(server_url)
    engine = open_engine(url, name="test", pool_size=10)
    await migrate(engine)
    yield open_sessions(engine)
    await engine.dispose()
    await drop_database(url, server_url)
