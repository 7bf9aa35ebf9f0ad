"""What an error says: that the database cannot be worked with, or that the data or our own code are at fault."""

import asyncpg
import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.types import SmallInteger

from app.postgres.engine import is_unavailable


@pytest.mark.parametrize(
    ("statement", "unavailable"),
    [
        ("SELECT 1 / 0", False),
        ("INSERT INTO region (code) VALUES (NULL)", False),
        ("SELECT no_such_column FROM region", True),
        ("DO $$ BEGIN RAISE program_limit_exceeded; END $$", False),  # a value that no index or statement can hold
        ("DO $$ BEGIN RAISE deadlock_detected; END $$", True),
        ("DO $$ BEGIN RAISE query_canceled; END $$", True),
        ("DO $$ BEGIN RAISE read_only_sql_transaction; END $$", True),
        ("DO $$ BEGIN RAISE invalid_sql_statement_name; END $$", True),  # a pooler lost the prepared statement
        ("DO $$ BEGIN RAISE invalid_password; END $$", True),
        ("DO $$ BEGIN RAISE invalid_catalog_name; END $$", True),
        ("DO $$ BEGIN RAISE data_corrupted; END $$", True),
        ("DO $$ BEGIN RAISE disk_full; END $$", True),
    ],
)
async def test_only_what_is_no_fault_of_the_data_is_unavailability(
    session: AsyncSession, statement: str, unavailable: bool
) -> None:
    with pytest.raises(SQLAlchemyError) as caught:
        await session.execute(text(statement))
    assert is_unavailable(caught.value) is unavailable


async def test_a_value_that_cannot_be_encoded_is_no_unavailability(session: AsyncSession) -> None:
    statement = text("SELECT cast(:value AS smallint)").bindparams(bindparam("value", type_=SmallInteger))
    with pytest.raises(SQLAlchemyError) as caught:
        await session.execute(statement, {"value": 99_999})
    assert not is_unavailable(caught.value)


async def test_a_migration_under_a_running_process_is_unavailability_once(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("CREATE TEMPORARY TABLE migrated (a int)"))
        for _ in range(8):  # until asyncpg keeps the statement
            await connection.execute(text("SELECT * FROM migrated"))
        await connection.execute(text("ALTER TABLE migrated ADD COLUMN b int"))
        with pytest.raises(SQLAlchemyError) as caught:
            await connection.execute(text("SELECT * FROM migrated"))
        assert is_unavailable(caught.value)
        await connection.rollback()


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), MemoryError(), asyncpg.ProtocolError()])
def test_a_connection_that_is_refused_or_takes_too_long_is_unavailability(error: Exception) -> None:
    assert is_unavailable(error)


@pytest.mark.parametrize("error", [TypeError(), KeyError("a"), AssertionError(), ValueError()])
def test_an_error_of_our_own_code_is_no_unavailability(error: Exception) -> None:
    assert not is_unavailable(error)
