"""Check the database: reachable or startable, suitable, migrated, delivering notices and locks, used by a worker."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import randbits, token_hex

import asyncpg

from app.cli.doctor.check_result import (
    CheckResult,
    CheckStatus,
    NotApplicable,
    describe_error,
    in_thread,
    nearest_existing,
)
from app.core.clock import utc_now
from app.judging.blind_ranges import BEAT_TOLERANCE
from app.postgres.binaries import identity, major_version
from app.postgres.datafiles import require_same_major
from app.postgres.embedded import Cluster, EmbeddedError, find_url
from app.postgres.engine import connect_args
from app.postgres.schema import SchemaAge, age_of, head
from app.postgres.urls import dsn, hosts_and_ports
from app.settings import Settings
from probes.contract import CENTRAL
from probes.resolve import Resolver, Unresolvable

CONNECT_TIMEOUT_S, NOTIFY_TIMEOUT_S = 4.0, 2.0
UNREACHABLE = (OSError, TimeoutError, Unresolvable, asyncpg.PostgresError, asyncpg.InterfaceError)
OLDEST_POSTGRES = 15


@contextlib.asynccontextmanager
async def connected(url: str, *, pooled: bool = False) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the service does, so that a pooler in between refuses here what it would refuse there."""
    for host, _ in hosts_and_ports(url):
        if host and not host.startswith("/"):
            await Resolver().resolve(host)  # a lookup that hangs inside asyncpg would delay the end of the process
    settings = connect_args("doctor", pooled=pooled)["server_settings"]
    connection = await asyncpg.connect(
        dsn(url), timeout=CONNECT_TIMEOUT_S, command_timeout=CONNECT_TIMEOUT_S, server_settings=settings
    )
    try:
        yield connection
    finally:
        connection.terminate()


async def running_url(settings: Settings) -> str:
    """Return the database's URL. Raises NotApplicable when the embedded one does not run, or is not ours to read."""
    try:
        url = settings.database_url or await in_thread(lambda: find_url(settings.data_dir))
    except (EmbeddedError, OSError):
        raise NotApplicable from None
    if url is None:
        raise NotApplicable
    return url


@contextlib.asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Connect to the database. Raises NotApplicable when it cannot be reached."""
    url = await running_url(settings)
    async with contextlib.AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(connected(url, pooled=settings.is_pooled))
        except UNREACHABLE:
            raise NotApplicable from None
        yield connection


async def check_database(settings: Settings) -> CheckResult:
    if settings.database_url is None:
        cluster = Cluster(settings.data_dir)
        if await in_thread(cluster.find_running) is None:
            return await in_thread(lambda: check_startable(cluster))
    try:
        url = settings.database_url or Cluster(settings.data_dir).url
        async with connected(url, pooled=settings.is_pooled) as connection:
            return await check_suitable(connection, "embedded" if settings.database_url is None else "external")
    except UNREACHABLE as error:
        text = f"database: not reachable ({describe_error(error)})"
        return CheckResult(CheckStatus.FAIL, text, "Check SINYAL_DATABASE_URL")


def check_startable(cluster: Cluster) -> CheckResult:
    """Check that the stopped embedded cluster could start. Raises EmbeddedError, with the remedy, when not."""
    if cluster.exists():
        require_same_major(cluster.home / "data")
    with tempfile.TemporaryDirectory() as trial:
        who = identity(cluster.home if cluster.home.exists() else Path(trial))
    who.require_access(nearest_existing(cluster.home.parent) / "postgres")
    state = "is stopped" if cluster.exists() else "is not created yet"
    return CheckResult(
        CheckStatus.OK,
        f"database: the embedded PostgreSQL {major_version()} {state}, and can be started",
        "Run doctor again while `sinyal up` runs: some checks need the running database",
    )


async def check_suitable(connection: asyncpg.Connection, kind: str) -> CheckResult:
    major = connection.get_server_version().major
    server = f"database: {kind} PostgreSQL {major}"
    if major < OLDEST_POSTGRES:
        return CheckResult(CheckStatus.FAIL, f"{server} is too old", f"Move to PostgreSQL {OLDEST_POSTGRES} or newer")
    gist = await connection.fetchrow("SELECT installed_version FROM pg_available_extensions WHERE name = 'btree_gist'")
    if gist is None:
        return CheckResult(
            CheckStatus.FAIL, f"{server} has no btree_gist", "Install PostgreSQL's contrib package on its server"
        )
    may_create = await connection.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')")
    if gist[0] is None and not may_create:
        remedy = "As its owner, once: CREATE EXTENSION btree_gist, and GRANT CREATE ON DATABASE to this role"
        return CheckResult(
            CheckStatus.FAIL, f"{server}: btree_gist is not installed, and this role may not install it", remedy
        )
    return CheckResult(CheckStatus.OK, f"{server} answers, with btree_gist")


async def check_schema(settings: Settings) -> CheckResult:
    async with open_database(settings) as connection:
        if not await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            return CheckResult(
                CheckStatus.WARN,
                "schema: not migrated yet",
                "Run `sinyal migrate`, or start `sinyal up`, which does it",
            )
        version = await connection.fetchval("SELECT version_num FROM alembic_version")
    age = await in_thread(lambda: age_of(version))
    if age is SchemaAge.CURRENT:
        return CheckResult(CheckStatus.OK, f"schema: migrated ({version})")
    if age is SchemaAge.NEWER:
        remedy = "Upgrade this machine as well: the version before is served no longer than that takes"
        return CheckResult(CheckStatus.WARN, f"schema: {version}, newer than this release's {head()}", remedy)
    return CheckResult(CheckStatus.FAIL, f"schema: {version}, and this release needs {head()}", "Run `sinyal migrate`")


async def check_direct_connection(settings: Settings) -> CheckResult:
    """Check LISTEN/NOTIFY and advisory locks, which the API and the worker need: a transaction pooler loses both."""
    direct = settings.database_direct_url
    name = "SINYAL_DATABASE_DIRECT_URL" if direct else "the database"
    remedy = "Set SINYAL_DATABASE_DIRECT_URL to the same database, past any transaction pooler"
    async with open_database(settings) as usual:
        try:
            async with connected(direct or await running_url(settings)) as connection:
                notified = await delivers_notifications(connection, usual)
                locked = await keeps_advisory_locks(connection, usual)
        except UNREACHABLE as error:
            text = f"direct connection: {name} is not reachable ({describe_error(error)})"
            return CheckResult(CheckStatus.FAIL, text, remedy)
    if notified and locked:
        return CheckResult(CheckStatus.OK, f"direct connection: {name} delivers notifications and keeps advisory locks")
    lost = " and ".join(
        feature for feature, works in (("notifications", notified), ("advisory locks", locked)) if not works
    )
    return CheckResult(CheckStatus.FAIL, f"direct connection: {lost} are lost on the way to {name}", remedy)


async def delivers_notifications(listener: asyncpg.Connection, sender: asyncpg.Connection) -> bool:
    received, channel = asyncio.Event(), f"sinyal_doctor_{token_hex(8)}"
    await listener.add_listener(channel, lambda *_: received.set())
    await sender.execute("SELECT pg_notify($1, '')", channel)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(NOTIFY_TIMEOUT_S):
            await received.wait()
    return received.is_set()


async def keeps_advisory_locks(holder: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    key = randbits(62)
    acquired = await holder.fetchval("SELECT pg_try_advisory_lock($1)", key)
    return bool(acquired and not await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", key))


async def check_worker(settings: Settings) -> CheckResult:
    async with open_database(settings) as connection:
        try:
            row = await connection.fetchrow("SELECT beat_at, blind_since FROM worker_beat WHERE source = $1", CENTRAL)
        except asyncpg.UndefinedTableError:
            raise NotApplicable from None
    if row is None:
        return CheckResult(CheckStatus.WARN, "worker: none has run on this database yet", "Start `sinyal up`")
    age = utc_now() - row["beat_at"]
    if abs(age) > BEAT_TOLERANCE:
        remedy = "Nothing is measured: start `sinyal up` (or `sinyal worker`), and read its log"
        return CheckResult(CheckStatus.FAIL, f"worker: its last heartbeat is {age.total_seconds():,.0f} s old", remedy)
    if row["blind_since"] is not None:
        since = f"{row['blind_since']:%Y-%m-%d %H:%M:%S} UTC"
        return CheckResult(CheckStatus.WARN, f"worker: blind since {since}", "No canary answers: check our own uplink")
    return CheckResult(CheckStatus.OK, f"worker: last heartbeat {max(0.0, age.total_seconds()):.1f} s ago")
