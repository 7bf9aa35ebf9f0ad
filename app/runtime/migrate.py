"""Bring a database to the newest schema and its regions to the newest list; safe to run twice, or twice at once."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema
from app.registry import regions


async def migrate(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await schema.upgrade(connection)
        await regions.seed(connection)
