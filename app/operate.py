"""What the command line does to a database that runs."""

import asyncio
import contextlib
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.access import store as access
from app.access.models import Role
from app.access.scope import check_grant
from app.database import database_url, open_engine, open_sessions, transaction
from app.embedded import Cluster
from app.registry import regions
from app.registry.models import Provider
from app.settings import Settings, SettingsError
from app.worker.leadership import Leadership

DATABASE_AWAY = "the database does not answer: it runs while `sinyal up` or `sinyal demo` does"


async def create_token(
    settings: Settings, *, name: str, role: str, region: str, days: int | None, provider: str | None
) -> str:
    if role not in set(Role):
        raise SettingsError(f"--role {role}: there is no such role; one of {', '.join(Role)}")
    if problem := check_grant(Role(role), region):
        raise SettingsError(f"--region {region}: {problem}")
    if not name.strip():
        raise SettingsError("--name is empty: say whose token it is, and what for")
    if role == Role.PROVIDER_VIEWER and provider is None:
        raise SettingsError("--role provider_viewer needs --provider, the provider's slug")
    if role != Role.PROVIDER_VIEWER and provider is not None:
        raise SettingsError("--provider goes with --role provider_viewer only")
    engine = open_engine(database_url(settings), name="token")
    try:
        async with transaction(open_sessions(engine)) as session:
            if await regions.find_region(session, region) is None:
                raise SettingsError(f"--region {region}: there is no such region")
            provider_id = await session.scalar(select(Provider.id).where(Provider.slug == provider))
            if provider is not None and provider_id is None:
                raise SettingsError(f"--provider {provider}: there is no such provider")
            return await access.create_token(
                session, name=name, role=Role(role), region_code=region, provider_id=provider_id, days=days
            )
    except (OSError, DBAPIError) as error:
        raise SettingsError(f"{DATABASE_AWAY} ({type(error).__name__})") from None
    finally:
        await engine.dispose()


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
        leadership = Leadership(url)
        if not runner.run(leadership.try_win()):
            raise SettingsError("a worker is running on this database: stop `sinyal up` (or `sinyal worker`) first")
        try:
            yield
        finally:
            runner.run(leadership.leave())
