"""Savepoints as plain statements: each has a name of its own, which SQLAlchemy would compile and asyncpg prepare."""

from collections.abc import Callable

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

Statement = Callable[[Connection, str], None]


def send_plainly(engine: AsyncEngine) -> None:
    """Send the savepoints of this engine's connections so. One that is rolled back is released as well, lest the
    transaction of a test hold thousands."""
    dialect = engine.sync_engine.dialect
    for name, statement in (
        ("do_savepoint", "SAVEPOINT {0}"),
        ("do_release_savepoint", "RELEASE SAVEPOINT {0}"),
        ("do_rollback_to_savepoint", "ROLLBACK TO SAVEPOINT {0}; RELEASE SAVEPOINT {0}"),
    ):
        setattr(dialect, name, _plain(statement, getattr(dialect, name)))


def _plain(statement: str, default: Statement) -> Statement:
    def send(connection: Connection, name: str) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        try:
            await_only(driver.execute(statement.format(name)))
        except asyncpg.PostgresError:
            default(connection, name)  # begins the transaction first, or raises the error as SQLAlchemy does

    return send
