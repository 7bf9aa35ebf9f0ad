"""Fixtures of accounts: cheap hashes, browsers, and a database with real commits."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.access import passwords
from app.postgres.engine import Sessions, open_engine, open_sessions
from tests.access.browser import Browser
from tests.conftest import drop_database, make_database


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Argon2 with its smallest parameters: hundreds of tests sign in, and each time would take 0.1 s of two cores."""
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", lambda: cheap)
        yield


@pytest.fixture
def costly_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hashes of production."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHash.recommended)
    passwords._dummy_hash.cache_clear()
    yield
    passwords._dummy_hash.cache_clear()


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
async def committed(server_url: str, migrated_template: str) -> AsyncIterator[Sessions]:
    """Sessions on a database of the test's own, for tests of concurrent commits."""
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test", pool_size=10)
    yield open_sessions(engine)
    await engine.dispose()
    await drop_database(url, server_url)
