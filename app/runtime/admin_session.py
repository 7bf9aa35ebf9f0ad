"""Database sessions of command-line commands: as an administrator, with errors in one line."""

import asyncio
import contextlib
import getpass
import os
from collections.abc import AsyncIterator, Iterator

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role, Source
from app.access.scope import PROVINCE, Caller
from app.core.errors import Problem
from app.postgres.embedded import Cluster
from app.postgres.engine import database_url, is_unavailable, open_engine, open_sessions, transaction
from app.postgres.leader_lock import LeaderLock
from app.settings import Settings, SettingsError

DATABASE_UNAVAILABLE = "the database does not answer: it runs while `sinyal up` or `sinyal demo` does"
OPTION_OF_FIELD = {"region_code": "--region", "password": "the password"}


def command_line_caller() -> Caller:
    """Return the caller of a command: a province administrator, under the name of the operating system's user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return Caller(None, f"command line ({user})", Role.PROVINCE_ADMIN, PROVINCE, source=Source.CLI)


@contextlib.asynccontextmanager
async def admin_session(settings: Settings, *, name: str) -> AsyncIterator[AsyncSession]:
    """Yield a session in a transaction on the running database. Raises any problem as a SettingsError of one line."""
    engine = open_engine(database_url(settings), name=name, pooled=settings.is_pooled)
    try:
        async with transaction(open_sessions(engine)) as session:
            yield session
    except Problem as problem:
        raise SettingsError(one_line(problem)) from None
    except Exception as error:
        if not is_unavailable(error):
            raise
        raise SettingsError(f"{DATABASE_UNAVAILABLE} ({type(error).__name__})") from None
    finally:
        await engine.dispose()


def one_line(problem: Problem) -> str:
    """Format a problem in one line, with the command's options in place of the API's fields."""
    parts = []
    for fault in problem.faults:
        sentences = [text.format_map(fault.values) for text in (fault.message, fault.suggestion) if text is not None]
        parts.append(f"{OPTION_OF_FIELD.get(fault.field, '--' + fault.field)}: {'; '.join(sentences)}")
    return ". ".join(parts) or str(problem)


@contextlib.contextmanager
def running_database(settings: Settings) -> Iterator[str]:
    """Yield the database's URL; an embedded one that does not run is started meanwhile."""
    url = database_url(settings)
    if settings.database_url is not None:
        yield settings.database_direct_url or url  # pg_dump sets its session up, which no pooler keeps
        return
    cluster = Cluster(settings.data_dir)
    cluster.start()
    try:
        yield cluster.url
    finally:
        cluster.stop()


@contextlib.contextmanager
def no_worker(url: str) -> Iterator[None]:
    """Hold the leader lock, so that no worker leads meanwhile. Raises SettingsError when one does."""
    with asyncio.Runner() as runner:
        lock = LeaderLock(url)
        if not runner.run(lock.try_lock()):
            raise SettingsError("a worker is running on this database: stop `sinyal up` (or `sinyal worker`) first")
        try:
            yield
        finally:
            runner.run(lock.release())
