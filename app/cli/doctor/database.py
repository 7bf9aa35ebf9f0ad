"""Checks of the database: that it runs or could, fits, passes on notices and locks, and that a worker uses it."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import randbits, token_hex

import asyncpg
from sqlalchemy.engine import make_url

from app.cli.doctor.finding import Away, Finding, Level, in_thread, nearest, why
from app.core.clock import utc_now
from app.judging.blind_ranges import BEAT_TOLERANCE
from app.postgres.binaries import identity, major_version
from app.postgres.datafiles import require_our_version
from app.postgres.embedded import Cluster, EmbeddedError, find_url
from app.postgres.engine import connect_args
from app.postgres.schema import head
from app.settings import Settings
from probes.contract import CENTRAL
from probes.resolve import Resolver, Unresolvable

CONNECT_S, HEAR_S = 4.0, 2.0
UNREACHABLE = (OSError, TimeoutError, Unresolvable, asyncpg.PostgresError, asyncpg.InterfaceError)
OLDEST_POSTGRES = 15


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """As the service connects, so that what stands between (a pooler) refuses here what it would refuse there."""
    parsed = make_url(url).set(drivername="postgresql")
    for host in filter(None, (parsed.host or "").split(",")):
        await Resolver().resolve(host)  # a hanging one would hold up asyncpg, and the end of the process with it
    plain = parsed.render_as_string(hide_password=False)
    settings = connect_args("doctor")["server_settings"]
    line = await asyncpg.connect(plain, timeout=CONNECT_S, command_timeout=CONNECT_S, server_settings=settings)
    try:
        yield line
    finally:
        line.terminate()


async def running_url(settings: Settings) -> str:
    """Raises Away when the embedded database does not run, or may not be looked at."""
    try:
        url = settings.database_url or await in_thread(lambda: find_url(settings.data_dir))
    except (EmbeddedError, OSError):
        raise Away from None
    if url is None:
        raise Away
    return url


@contextlib.asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    url = await running_url(settings)
    async with contextlib.AsyncExitStack() as stack:
        try:
            line = await stack.enter_async_context(connected(url))
        except UNREACHABLE:
            raise Away from None
        yield line


async def check_database(settings: Settings) -> Finding:
    if settings.database_url is None:
        cluster = Cluster(settings.data_dir)
        if await in_thread(cluster.find_running) is None:
            return await in_thread(lambda: could_run(cluster))
    try:
        async with connected(settings.database_url or Cluster(settings.data_dir).url) as line:
            return await fitness(line, "embedded" if settings.database_url is None else "own")
    except UNREACHABLE as error:
        return Finding(Level.FAIL, f"database: not reachable ({why(error)})", "Check SINYAL_DATABASE_URL")


def could_run(cluster: Cluster) -> Finding:
    """Raises EmbeddedError, with what to do, for a cluster that could not."""
    if cluster.exists():
        require_our_version(cluster.home / "data")
    with tempfile.TemporaryDirectory() as trial:
        who = identity(cluster.home if cluster.home.exists() else Path(trial))
    who.require_passage(nearest(cluster.home.parent) / "postgres")
    state = "does not run" if cluster.exists() else "is not made yet"
    return Finding(
        Level.OK,
        f"database: the embedded PostgreSQL {major_version()} {state}, and could run",
        "Ask again while `sinyal up` runs, for what only then can be seen",
    )


async def fitness(line: asyncpg.Connection, whose: str) -> Finding:
    major = line.get_server_version().major
    what = f"database: {whose} PostgreSQL {major}"
    if major < OLDEST_POSTGRES:
        return Finding(Level.FAIL, f"{what} is too old", f"Move to PostgreSQL {OLDEST_POSTGRES} or newer")
    gist = await line.fetchrow("SELECT installed_version FROM pg_available_extensions WHERE name = 'btree_gist'")
    if gist is None:
        return Finding(Level.FAIL, f"{what} has no btree_gist", "Install PostgreSQL's contrib package on its server")
    may_create = await line.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')")
    if gist[0] is None and not may_create:
        mend = "As its owner, once: CREATE EXTENSION btree_gist, and GRANT CREATE ON DATABASE to this role"
        return Finding(Level.FAIL, f"{what}: btree_gist is not installed, and this role may not", mend)
    return Finding(Level.OK, f"{what} answers, with btree_gist")


async def check_schema(settings: Settings) -> Finding:
    async with database(settings) as line:
        if not await line.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            return Finding(Level.WARN, "schema: not migrated yet", "`sinyal up` does it, or `sinyal migrate`")
        version = await line.fetchval("SELECT version_num FROM alembic_version")
    if version == await in_thread(head):
        return Finding(Level.OK, f"schema: migrated ({version})")
    mend = "Run `sinyal migrate`, or the release that the database was migrated by"
    return Finding(Level.FAIL, f"schema: {version}, and this release needs {head()}", mend)


async def check_direct_line(settings: Settings) -> Finding:
    """The api hears of changes, and one worker alone leads, only where a session keeps its server process."""
    direct = settings.database_direct_url
    name = "SINYAL_DATABASE_DIRECT_URL" if direct else "the database"
    mend = "Set SINYAL_DATABASE_DIRECT_URL to the same database, past any transaction pooler"
    async with database(settings) as usual:
        try:
            async with connected(direct or await running_url(settings)) as line:
                heard, locked = await hears(line, usual), await locks(line, usual)
        except UNREACHABLE as error:
            return Finding(Level.FAIL, f"direct line: {name} is not reachable ({why(error)})", mend)
    if heard and locked:
        return Finding(Level.OK, f"direct line: {name} passes on notifications and keeps advisory locks")
    lost = " and ".join(word for word, works in (("notifications", heard), ("advisory locks", locked)) if not works)
    return Finding(Level.FAIL, f"direct line: {lost} are lost on the way to {name}", mend)


async def hears(line: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    heard, channel = asyncio.Event(), f"sinyal_doctor_{token_hex(8)}"
    await line.add_listener(channel, lambda *_: heard.set())
    await other.execute("SELECT pg_notify($1, '')", channel)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(heard.wait(), HEAR_S)
    return heard.is_set()


async def locks(line: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    key = randbits(62)
    taken = await line.fetchval("SELECT pg_try_advisory_lock($1)", key)
    return bool(taken and not await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", key))


async def check_worker(settings: Settings) -> Finding:
    async with database(settings) as line:
        try:
            row = await line.fetchrow("SELECT beat_at, blind_since FROM worker_beat WHERE source = $1", CENTRAL)
        except asyncpg.UndefinedTableError:
            raise Away from None
    if row is None:
        return Finding(Level.WARN, "worker: none has worked on this database yet", "Start `sinyal up`")
    age = utc_now() - row["beat_at"]
    if abs(age) > BEAT_TOLERANCE:
        mend = "Nothing is measured meanwhile: start `sinyal up` (or `sinyal worker`), and read its log"
        return Finding(Level.FAIL, f"worker: its last beat is {age.total_seconds():,.0f} s old", mend)
    if row["blind_since"] is not None:
        since = f"{row['blind_since']:%Y-%m-%d %H:%M:%S} UTC"
        return Finding(Level.WARN, f"worker: blind since {since}", "No canary answers: look at our own uplink")
    return Finding(Level.OK, f"worker: beat {max(0.0, age.total_seconds()):.1f} s ago")
