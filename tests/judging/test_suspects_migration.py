"""What suspicions excused before sites were held one by one stays as it was judged."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.postgres import schema
from app.postgres.engine import open_engine
from app.registry import regions
from tests.conftest import drop_database, make_database

REVISION = "20261128_suspects"
BEFORE = str(ScriptDirectory.from_config(schema.config()).get_revision(REVISION).down_revision)
FILL = """
INSERT INTO provider (slug, name) VALUES ('p', 'P');
INSERT INTO site (code, kind, village_code, name, host_static, technology, provider_id, link_role, venue, probe,
    lifecycle, addressed_at, created_at, updated_at, version)
    SELECT '64.02.05.2003-0' || n, 'access_point', '64.02.05.2003', 'S', true, 'fiber', p.id, 'primary', 'lainnya',
        'push', 'active', now(), now(), now(), 1 FROM provider p, generate_series(1, 2) n;
INSERT INTO suspicion (source, started_at, detected_at, ended_at, upheld, sites) VALUES
    ('central', '2026-11-01 00:00:00Z', '2026-11-01 00:00:20Z', '2026-11-01 00:00:31Z', true,
        (SELECT array_agg(id) FROM site)),
    ('central', '2026-11-02 00:00:00Z', '2026-11-02 00:00:20Z', '2026-11-02 00:00:31Z', false,
        (SELECT array_agg(id) FROM site) || 999),
    ('central', '2026-11-03 00:00:00Z', '2026-11-03 00:00:20Z', NULL, NULL, (SELECT array_agg(id) FROM site));
INSERT INTO blind (source, started_at, ended_at, reason) VALUES
    ('central', '2026-11-01 00:00:00Z', '2026-11-01 00:00:31Z', 'uplink'),
    ('central', '2026-11-01 00:00:00Z', '2026-11-01 00:10:00Z', 'uplink')
"""


def _migrate(action: Callable[..., None], revision: str) -> Callable[[Connection], None]:
    def run(connection: Connection) -> None:
        alembic = schema.config()
        alembic.attributes["connection"] = connection
        action(alembic, revision)

    return run


@pytest.fixture
async def before(server_url: str) -> AsyncIterator[AsyncConnection]:
    url = await make_database(server_url)
    engine = open_engine(url, name="test")
    async with engine.begin() as connection:
        await connection.run_sync(_migrate(command.upgrade, BEFORE))
        await regions.seed(connection)
        yield connection
    await engine.dispose()
    await drop_database(url, server_url)


async def _rows(connection: AsyncConnection, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.execute(text(statement))]


async def test_stored_suspicions_become_suspects_and_named_blind_ranges(before: AsyncConnection) -> None:
    for statement in FILL.split(";\n"):
        await before.execute(text(statement))
    await before.run_sync(_migrate(command.upgrade, REVISION))
    blind = "SELECT (ended_at AT TIME ZONE 'UTC')::text, reason FROM blind ORDER BY 1"
    assert await _rows(before, blind) == [
        ("2026-11-01 00:00:31", "mass_outage"),
        ("2026-11-01 00:10:00", "uplink"),
        ("2026-11-03 00:00:21", "mass_outage"),
    ]
    suspects = (
        "SELECT extract(day FROM started_at AT TIME ZONE 'UTC')::int, excused, count(*) FROM suspect GROUP BY 1, 2"
    )
    assert sorted(await _rows(before, suspects)) == [(1, True, 2), (2, False, 2), (3, True, 2)]
    assert await _rows(before, "SELECT count(*) FROM suspicion WHERE ended_at > started_at") == [(3,)]
    await before.run_sync(_migrate(command.downgrade, BEFORE))
    assert await _rows(before, "SELECT cardinality(sites) FROM suspicion ORDER BY id") == [(2,), (2,), (2,)]
