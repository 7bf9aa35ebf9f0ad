"""The database schema that this code needs: Alembic migrations applied, or compared with a database."""

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.settings import ROOT

MIGRATION_LOCK = 0x53494E59_0001


async def upgrade(connection: AsyncConnection) -> None:
    """Apply the missing migrations, one process at a time; others wait up to 120 s."""
    await connection.execute(text("SET LOCAL lock_timeout = '120s'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    await connection.run_sync(_upgrade)


async def is_current(connection: AsyncConnection) -> bool:
    """Whether the database has the newest migration."""
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
