"""Migrations of a database that holds data already."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema
from app.postgres.engine import open_engine
from tests.conftest import drop_database, make_database

DATED = """
INSERT INTO provider (slug, name) VALUES ('orbit', 'Orbit');
INSERT INTO region (code, level, name, type, latitude, longitude)
VALUES ('64.02.05.2003', 'desa_kelurahan', 'Muara Badak Ulu', 'desa', 0, 117);
INSERT INTO site (code, kind, village_code, name, host, host_static, technology, provider_id, link_role, probe,
    lifecycle, addressed_at, version, created_at, updated_at)
SELECT code, kind, '64.02.05.2003', code, '198.51.100.1', true, 'fiber', p.id, 'primary', 'tcp', 'planned',
    since, 1, since, since
FROM provider p, (VALUES ('a', 'node'), ('b', 'access_point'), ('c', 'node')) AS s(code, kind),
    (VALUES (timestamptz '2026-11-01Z')) AS t(since);
INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, village_code)
SELECT id, created_at, 'active', technology, provider_id, addressed_at, village_code FROM site;
UPDATE site_configuration SET ended_at = '2026-11-20Z' WHERE site_id = (SELECT id FROM site WHERE code = 'b');
INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, village_code)
SELECT id, '2026-11-20Z', 'active', technology, provider_id, addressed_at, village_code FROM site WHERE code = 'b';
INSERT INTO audit (at, actor, action, object, object_id, before, after) VALUES
    ('2026-11-05 10:00:00.7Z', 'ana', 'change', 'site', 'a', '{"kind": "access_point"}', '{"kind": "node"}'),
    ('2026-11-10Z', 'ana', 'change', 'site', 'b', '{"kind": "access_point"}', '{"kind": "node"}'),
    ('2026-11-10 00:00:00.5Z', 'ana', 'change', 'site', 'b', '{"kind": "node"}', '{"kind": "access_point"}'),
    ('2026-11-20Z', 'ana', 'change', 'site', 'b', '{"probe": "icmp"}', '{"probe": "tcp"}');
INSERT INTO counted_day (day, counted_at) VALUES ('2026-11-04', now()), ('2026-10-01', now());
"""

NOTED = """
INSERT INTO region (code, level, name, type, latitude, longitude) VALUES
    ('64', 'provinsi', 'Kalimantan Timur', 'provinsi', 0, 117),
    ('64.02', 'kabupaten_kota', 'Kukar', 'kabupaten', 0, 117)
    ON CONFLICT DO NOTHING;
INSERT INTO token (name, digest, role, region_code, created_at)
    VALUES ('ana', 'x', 'district_operator', '64.02', now());
INSERT INTO incident (id, kind, status, opened_at, started_at, version)
    VALUES (1, 'single', 'open', now(), now(), 1);
INSERT INTO incident_note (id, incident_id, at, by, text)
    VALUES (7, 1, now(), 'token ana', 'a'), (8, 1, now(), '?', 'b');
INSERT INTO audit (token_id, actor, action, object, object_id, after)
    SELECT id, 'token ana', 'note', 'incident', '1', jsonb_build_object('note_id', 7) FROM token;
"""


CONTRACTED = """
INSERT INTO provider (slug, name) VALUES ('orbit', 'Orbit');
INSERT INTO region (code, level, name, type, latitude, longitude)
VALUES ('64.02.05.2003', 'desa_kelurahan', 'Muara Badak Ulu', 'desa', 0, 117);
INSERT INTO contract (id, number, provider_id, valid_from, version)
SELECT n, 'K-' || n, id, '2026-01-01', 1 FROM provider, generate_series(1, 2) n;
INSERT INTO site (id, code, kind, village_code, name, host, host_static, technology, provider_id, link_role, probe,
    lifecycle, addressed_at, version, created_at, updated_at, contract_id)
SELECT n, 'site-' || n, 'access_point', '64.02.05.2003', 'x', '198.51.100.' || n, true, 'fiber', id, 'backup', 'icmp',
    'active', '2026-11-01Z', 1, '2026-11-01Z', '2026-11-01Z', nullif(n, 3) FROM provider, generate_series(1, 3) n;
INSERT INTO site_configuration (site_id, started_at, ended_at, lifecycle, technology, provider_id, addressed_at,
    village_code, contract_id)
SELECT s.id, started_at, ended_at, 'active', technology, provider_id, addressed_at, village_code, c.contract_id
FROM site s JOIN (VALUES
    (1, timestamptz '2026-11-01 12:00+8', timestamptz '2026-11-05 12:00+8', 1),
    (1, '2026-11-05 12:00+8', '2026-11-05 18:00+8', 2),
    (1, '2026-11-05 18:00+8', NULL, 1),
    (2, '2026-11-01 12:00+8', '2026-11-10 09:00+8', 1),
    (2, '2026-11-10 09:00+8', '2026-11-12 00:00+8', NULL),
    (2, '2026-11-12 00:00+8', NULL, 2),
    (3, '2026-11-01 12:00+8', NULL, NULL)
) AS c(site_id, started_at, ended_at, contract_id) ON c.site_id = s.id;
INSERT INTO counted_day (day, counted_at) VALUES ('2026-11-11', now()), ('2026-11-12', now());
"""


@pytest.fixture
async def earlier(server_url: str) -> AsyncIterator[AsyncEngine]:
    """A database as of the last migration before the ledger kept last losses."""
    url = await make_database(server_url)
    engine = open_engine(url, name="migrations")
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade, "20261125_enrolment")
    yield engine
    await engine.dispose()
    await drop_database(url, server_url)


def _upgrade(connection: Connection, revision: str) -> None:
    config = schema.config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _downgrade(connection: Connection, revision: str) -> None:
    config = schema.config()
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


async def test_kinds_and_probes_are_dated_by_the_audit_where_it_tells_of_a_change(earlier: AsyncEngine) -> None:
    async with earlier.begin() as connection:
        for statement in DATED.split(";\n"):
            if statement.strip():
                await connection.execute(text(statement.replace(": ", "\\: ")))
        await connection.run_sync(_upgrade, "20261128_dated_kind")
        rows: list[Any] = [
            (row.code, f"{row.started_at:%d %H:%M:%S}", row.kind, row.probe)
            for row in await connection.execute(
                text(
                    "SELECT s.code, c.started_at, c.kind, c.probe FROM site_configuration c "
                    "JOIN site s ON s.id = c.site_id ORDER BY 1, 2"
                )
            )
        ]
        assert rows == [
            ("a", "01 00:00:00", "access_point", "tcp"),
            ("a", "05 10:00:00", "node", "tcp"),
            ("b", "01 00:00:00", "access_point", "icmp"),
            ("b", "10 00:00:00", "access_point", "icmp"),
            ("b", "20 00:00:00", "access_point", "tcp"),
            ("c", "01 00:00:00", "node", "tcp"),
        ]
        stale = await connection.execute(
            text("SELECT s.code, d.day::text FROM stale_day d JOIN site s ON s.id = site_id")
        )
        assert [tuple(row) for row in stale] == [("a", "2026-11-04")]


async def test_a_note_is_of_the_office_that_the_audit_names_and_for_no_provider(earlier: AsyncEngine) -> None:
    async with earlier.begin() as connection:
        for statement in NOTED.split(";\n"):
            if statement.strip():
                await connection.execute(text(statement))
        await connection.run_sync(_upgrade, "20261128_note_office")
        notes = await connection.execute(text("SELECT id, region_code, provider_id FROM incident_note ORDER BY id"))
        assert [tuple(row) for row in notes] == [(7, "64.02", None), (8, "64", None)]


async def test_a_day_goes_to_the_contract_that_a_site_had_at_its_end_and_back_again(earlier: AsyncEngine) -> None:
    async with earlier.begin() as connection:
        await connection.run_sync(_upgrade, "20261128_pending_validity")
        for statement in CONTRACTED.split(";\n"):
            if statement.strip():
                await connection.execute(text(statement.replace(":00+8", "\\:00+8")))
        await connection.run_sync(_upgrade, "20261128_contract_by_day_alone")
        rows = await connection.execute(
            text(
                "SELECT site_id, contract_id, link_role, started_on::text, ended_on::text FROM site_contract "
                "ORDER BY 1, 4"
            )
        )
        assert [tuple(row) for row in rows] == [
            (1, 1, "backup", "2026-11-01", None),
            (2, 1, "backup", "2026-11-01", "2026-11-10"),
            (2, 2, "backup", "2026-11-12", None),
        ]
        stale = await connection.execute(text("SELECT site_id, day::text FROM stale_day ORDER BY 1, 2"))
        assert [tuple(row) for row in stale] == [(1, "2026-11-11"), (1, "2026-11-12"), (2, "2026-11-12")]
        await connection.run_sync(_downgrade, "20261128_provider_aliases")
        sites = await connection.execute(text("SELECT id, contract_id FROM site ORDER BY 1"))
        assert [tuple(row) for row in sites] == [(1, 1), (2, 2), (3, None)]
        configurations = await connection.execute(
            text("SELECT contract_id FROM site_configuration WHERE site_id = 2 ORDER BY started_at")
        )
        assert [row[0] for row in configurations] == [1, None, 2]
