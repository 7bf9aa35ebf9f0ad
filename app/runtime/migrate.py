"""Migrate a database to the newest schema and list of regions. Idempotent, and safe to run concurrently."""

import asyncio
import time

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema
from app.registry import regions

log = structlog.get_logger()

LOCK_NOT_AVAILABLE = "55P03"
WAIT_S, PAUSE_S = 120.0, 2.0  # while others use the tables


async def migrate(engine: AsyncEngine) -> None:
    """Migrate beside processes that run; a database of a newer version is left as it is.

    A table that somebody reads at length is not waited for with a lock in the queue, behind which all others would
    wait: the migration is given up, and tried again.
    """
    until = time.monotonic() + WAIT_S
    while True:
        try:
            async with engine.begin() as connection:
                if await schema.upgrade(connection):
                    await regions.seed(connection)
                else:
                    log.warning("database_is_newer", needed=schema.head())
            return
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE or time.monotonic() > until:
                raise
        log.info("migration_waits_for_locks")
        await asyncio.sleep(PAUSE_S)
