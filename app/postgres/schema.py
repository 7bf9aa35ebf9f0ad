"""The database schema that this code needs: Alembic migrations applied, or compared with a database.

A database may be newer than this code: while machines are upgraded one by one, the version before goes on with what the
newest one has migrated (migrations/released.toml).
"""

from enum import StrEnum
from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.postgres import lock_ids
from app.settings import ROOT

LOCK_S = 2


class SchemaAge(StrEnum):
    """A database's schema beside that of this code."""

    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


async def upgrade(connection: AsyncConnection) -> bool:
    """Apply the missing migrations, one process at a time; others wait up to 120 s. False: it is newer, and stays so.

    Raises OperationalError where a table stays locked for LOCK_S: whoever asks for it afterwards waits as well.
    """
    await connection.execute(text("SET LOCAL lock_timeout = '120s'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_ids.MIGRATION})
    if await schema_age(connection) is SchemaAge.NEWER:
        return False
    await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_S}s'"))
    await connection.run_sync(_upgrade)
    return True


async def schema_age(connection: AsyncConnection) -> SchemaAge:
    """Compare the database's newest migration with this code's."""
    exists = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    return age_of(await connection.scalar(text("SELECT version_num FROM alembic_version")) if exists else None)


def age_of(revision: str | None) -> SchemaAge:
    """A revision that this code does not know is a newer one."""
    if revision == head():
        return SchemaAge.CURRENT
    return SchemaAge.OLDER if revision is None or revision in _known() else SchemaAge.NEWER


@cache
def head() -> str | None:
    return ScriptDirectory.from_config(config()).get_current_head()


@cache
def _known() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(config()).walk_revisions())


def config() -> Config:
    return Config(ROOT / "alembic.ini")


def _upgrade(connection: Connection) -> None:
    alembic = config()
    alembic.attributes["connection"] = connection
    command.upgrade(alembic, "head")
