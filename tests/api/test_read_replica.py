"""What looks far back is read from a real replica: no such route writes, and each answers as from the primary."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event
from starlette.routing import BaseRoute

from app.access import api_tokens
from app.access.models import Role
from app.postgres.engine import open_engine, open_sessions, transaction
from app.runtime.migrate import migrate
from tests.conftest import make_app
from tests.support.replicated import replicated

DAY = "period=24h"
PATHS = (
    f"/regions/64/uptime?{DAY}",
    f"/regions/64/children/uptime?{DAY}&format=csv",
    f"/regions/64/latency?{DAY}",
    f"/ranking?by=region&{DAY}",
    "/incidents",
    "/incidents?format=csv",
    f"/blind-ranges?{DAY}",
    "/audit",
    "/audit?format=csv",
    "/sites/export",
    "/notifications",
)


@pytest.fixture
async def clients(routes: list[BaseRoute], tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, list[str]]]:
    """A client, and the statements that the replica was sent."""
    with replicated(tmp_path) as servers:
        engine, replica = open_engine(servers.primary.url, name="api"), open_engine(servers.replica.url, name="reads")
        await migrate(engine)
        async with transaction(open_sessions(engine)) as session:
            secret = await api_tokens.create_token(session, name="sari", role=Role.PROVINCE_ADMIN, region_code="64")
        app = make_app(open_sessions(engine), engine, routes)
        app.state.reads.sessions = open_sessions(replica)
        statements: list[str] = []
        event.listen(replica.sync_engine, "before_cursor_execute", lambda *sent: statements.append(sent[2]))
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers) as client:
            yield client, statements
        await engine.dispose()
        await replica.dispose()


async def test_the_past_is_read_from_the_replica(clients: tuple[httpx.AsyncClient, list[str]]) -> None:
    client, statements = clients
    for path in PATHS:
        statements.clear()
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert len(statements) >= 2, (path, "the check, and what was asked for")
    statements.clear()
    assert (await client.get("/sites")).status_code == 200
    assert not statements, "the registry itself is read where it is written"
