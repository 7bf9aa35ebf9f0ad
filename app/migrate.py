"""Brings a database to the newest schema and its regions to the newest list; safe to run twice, or twice at once."""

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.registry import regions
from app.settings import ROOT

MIGRATION_LOCK = 0x53494E59_0001


async def migrate(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL lock_timeout = '120s'"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        await connection.run_sync(_upgrade)
        await regions.seed(connection)


async def is_current(connection: AsyncConnection) -> bool:
    """Whether the schema is the one this code was written for."""
    exists = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    if not exists:
        return False
    version = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return bool(version == head())


@cache
def head() -> str | None:
    return ScriptDirectory.from_config(config()).get_current_head()


def config() -> Config:
    return Config(ROOT / "alembic.ini")


def _upgrade(connection: Connection) -> None:
    alembic = config()
    alembic.attributes["connection"] = connection
    command.upgrade(alembic, "head")
