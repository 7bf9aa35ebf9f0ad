"""Migrations that the version before can live with: its processes run on while machines are upgraded one by one."""

import tomllib
from collections.abc import AsyncIterator

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema
from app.postgres.engine import open_engine
from app.settings import ROOT
from tests.conftest import drop_database, make_database
from tests.support.schema_catalog import incompatible, read_catalog

RELEASED = tomllib.loads((ROOT / "migrations/released.toml").read_text())


@pytest.fixture
async def empty(server_url: str) -> AsyncIterator[AsyncEngine]:
    url = await make_database(server_url)
    engine = open_engine(url, name="tests")
    yield engine
    await engine.dispose()
    await drop_database(url, server_url)


def migrate_to(connection: Connection, revision: str) -> None:
    config = schema.config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_what_the_version_before_reads_and_writes_is_still_there(empty: AsyncEngine) -> None:
    async with empty.begin() as connection:
        await connection.run_sync(migrate_to, RELEASED["head"])
        before = await connection.run_sync(read_catalog)
        await connection.run_sync(migrate_to, "head")
        after = await connection.run_sync(read_catalog)
    found = {line for line in incompatible(before, after) if line.partition(":")[0] not in RELEASED["accepted"]}
    assert found == set(), "see migrations/released.toml"


CHANGES: dict[str, str | None] = {
    "ALTER TABLE a DROP COLUMN b": "column a.b: is gone",
    "ALTER TABLE a RENAME COLUMN b TO c": "column a.b: is gone",
    "DROP TABLE a": "table a: is gone",
    "ALTER TABLE a ALTER COLUMN b TYPE bigint": "column a.b: was integer, is bigint",
    "ALTER TABLE a ALTER COLUMN b SET NOT NULL": "column a.b: is required, without a default",
    "ALTER TABLE a ADD COLUMN c int NOT NULL": "column a.c: is required, without a default",
    "ALTER TABLE a ALTER COLUMN d DROP DEFAULT": "column a.d: lost its default",
    "ALTER TABLE a DROP CONSTRAINT a_d_key": "rule a.a_d_key: is gone, and an upsert may name it",
    "ALTER TABLE a ADD CHECK (b > 0)": "rule a.a_b_check: is new or changed (CHECK ((b > 0)))",
    "CREATE UNIQUE INDEX e ON a (b)": "rule a.e: is new or changed (CREATE UNIQUE INDEX e ON public.a USING btree (b))",
    "ALTER TABLE a ADD COLUMN c int NOT NULL DEFAULT 0 CHECK (c >= 0)": None,
    "CREATE INDEX e ON a (b)": None,
    "CREATE TABLE f (g int NOT NULL CHECK (g > 0))": None,
    "ALTER TABLE a ALTER COLUMN d DROP NOT NULL": None,
}


async def test_what_it_could_not_live_with_is_found(empty: AsyncEngine) -> None:
    async with empty.begin() as connection:
        await connection.execute(text("CREATE TABLE a (b int, d int NOT NULL DEFAULT 1 UNIQUE)"))
        before = await connection.run_sync(read_catalog)
        for statement, found in CHANGES.items():
            change = await connection.begin_nested()
            await connection.execute(text(statement))
            after = await connection.run_sync(read_catalog)
            await change.rollback()
            assert list(incompatible(before, after)) == ([found] if found else []), statement
