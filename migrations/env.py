"""Runs migrations on the connection of `app.postgres.schema`, or on that of the settings for the alembic command."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from app.postgres.engine import Base, database_url
from app.settings import settings


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


async def run_from_settings() -> None:
    engine = create_async_engine(database_url(settings()))
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


passed = context.config.attributes.get("connection")
if passed is None:
    asyncio.run(run_from_settings())
else:
    run(passed)
