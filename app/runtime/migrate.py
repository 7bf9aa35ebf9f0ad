"""Migrate a database to the newest schema and list of regions. Idempotent, and safe to run concurrently."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema
from app.registry import regions


async def migrate(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await schema.upgrade(connection)
        await regions.seed(connection)
