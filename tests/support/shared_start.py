"""What all tests of a file start from, written once: each of them works in a savepoint of that transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from app.postgres.engine import Sessions
from tests.conftest import Cast, make_app, open_cast, rolled_back, sessions_within


@dataclass
class SharedStart:
    """The fixtures of the same names, for a fixture of scope "module"."""

    connection: AsyncConnection
    sessions: Sessions
    session: AsyncSession
    app: FastAPI
    cast: Cast


@asynccontextmanager
async def shared_start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with rolled_back(engine) as connection:
        sessions = sessions_within(connection)
        app = make_app(sessions, engine, routes)
        async with sessions() as session, open_cast(app, session) as cast:
            yield SharedStart(connection, sessions, session, app, cast)


@asynccontextmanager
async def savepoint(connection: AsyncConnection) -> AsyncIterator[AsyncConnection]:
    """For a file's own fixture `connection`."""
    nested = await connection.begin_nested()
    yield connection
    await nested.rollback()
