"""What the command line does to a database that runs."""

import asyncio
import contextlib
import getpass
import os
from collections.abc import AsyncIterator, Iterator

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role, Source
from app.access.scope import PROVINCE, Caller
from app.core.errors import Problem
from app.postgres.embedded import Cluster
from app.postgres.engine import database_url, open_engine, open_sessions, transaction
from app.settings import Settings, SettingsError
from app.worker.leader_lock import LeaderLock

DATABASE_AWAY = "the database does not answer: it runs while `sinyal up` or `sinyal demo` does"
OPTIONS = {"region_code": "--region", "password": "the password"}


def by_command_line() -> Caller:
    """Whoever may run this on the machine may do anything there; the audit keeps their name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return Caller(None, f"command line ({user})", Role.PROVINCE_ADMIN, PROVINCE, source=Source.CLI)


@contextlib.asynccontextmanager
async def on_database(settings: Settings, *, name: str) -> AsyncIterator[AsyncSession]:
    """A transaction on a database that runs. Raises SettingsError: whatever is wrong, in one line."""
    engine = open_engine(database_url(settings), name=name)
    try:
        async with transaction(open_sessions(engine)) as session:
            yield session
    except Problem as problem:
        raise SettingsError(in_one_line(problem)) from None
    except (OSError, DBAPIError) as error:
        raise SettingsError(f"{DATABASE_AWAY} ({type(error).__name__})") from None
    finally:
        await engine.dispose()


def in_one_line(problem: Problem) -> str:
    """With the options of the command line for the API's fields."""
    said = []
    for fault in problem.faults:
        words = [text.format_map(fault.values) for text in (fault.message, fault.suggestion) if text is not None]
        said.append(f"{OPTIONS.get(fault.field, '--' + fault.field)}: {'; '.join(words)}")
    return ". ".join(said) or str(problem)


@contextlib.contextmanager
def running_database(settings: Settings) -> Iterator[str]:
    """The database's URL; the embedded one is started for the while if it does not run."""
    url = database_url(settings)
    if settings.database_url is not None:
        yield url
        return
    cluster = Cluster(settings.data_dir)
    cluster.start()
    try:
        yield cluster.url
    finally:
        cluster.stop()


@contextlib.contextmanager
def no_worker(url: str) -> Iterator[None]:
    """Holds the worker's lock for the while. Raises SettingsError when a worker does."""
    with asyncio.Runner() as runner:
        lock = LeaderLock(url)
        if not runner.run(lock.try_lock()):
            raise SettingsError("a worker is running on this database: stop `sinyal up` (or `sinyal worker`) first")
        try:
            yield
        finally:
            runner.run(lock.release())
