"""Check a database of several servers: who leads, the pooler before it, standbys, and the replica that is read."""

import asyncpg

from app.cli.doctor.check_result import CheckResult, CheckStatus, NotApplicable, describe_error
from app.cli.doctor.database import UNREACHABLE, connected, open_database
from app.settings import Settings

MB = 1024 * 1024
BEHIND_BYTES = 64 * MB  # as far as HAProxy still sends reads to a standby

IS_REPLICATED = """
    SELECT current_setting('synchronous_standby_names') <> '' OR EXISTS (SELECT FROM pg_replication_slots)
        OR EXISTS (SELECT FROM pg_stat_replication)
"""
STANDBYS = """
    SELECT count(*) AS standbys, count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS synchronous,
        coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::bigint AS behind
    FROM pg_stat_replication WHERE state = 'streaming'
"""
MAY_SEE = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'usage')"
BEHIND = "SELECT greatest(pg_wal_lsn_diff(cast(cast($1 AS text) AS pg_lsn), pg_last_wal_replay_lsn()), 0)::bigint"
SYSTEM = "SELECT system_identifier FROM pg_control_system()"


async def check_writer(settings: Settings) -> CheckResult:
    """Check that what we connect to may be written to. Only where the database is not our own."""
    require_external(settings)
    async with open_database(settings) as connection:
        if await connection.fetchval("SELECT pg_is_in_recovery()"):
            remedy = "Point SINYAL_DATABASE_URL to the server that leads, by HAProxy or target_session_attrs=read-write"
            return CheckResult(CheckStatus.FAIL, "writer: SINYAL_DATABASE_URL leads to a standby", remedy)
        if await connection.fetchval("SHOW transaction_read_only") == "on":
            text = "writer: SINYAL_DATABASE_URL leads to a server that takes no writes"
            return CheckResult(CheckStatus.FAIL, text, "Look at default_transaction_read_only of the server and role")
    return CheckResult(CheckStatus.OK, "writer: SINYAL_DATABASE_URL leads to the server that leads")


async def check_pooler(settings: Settings) -> CheckResult:
    """Check what a pooler must keep: statements that are prepared on one of its connections and run on another."""
    require_external(settings)
    async with open_database(settings) as one, open_database(settings) as other:
        if await _is_direct(one):
            raise NotApplicable
        prepared = await one.prepare("SELECT cast($1 AS int)")
        try:
            async with other.transaction():
                await other.fetchval("SELECT 1")  # takes the connection on which it was prepared
                await prepared.fetchval(1)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            text = f"pooler: prepared statements are lost ({describe_error(error)})"
            return CheckResult(CheckStatus.FAIL, text, "PgBouncer 1.21 or newer, with max_prepared_statements = 500")
    direct = settings.database_direct_url
    if direct is not None:
        async with connected(direct) as connection:
            if not await _is_direct(connection):
                text = "pooler: SINYAL_DATABASE_DIRECT_URL leads to a pooler, too"
                return CheckResult(CheckStatus.FAIL, text, "Point it past the pooler: to HAProxy or to PostgreSQL")
    return CheckResult(CheckStatus.OK, "pooler: keeps prepared statements")


async def _is_direct(connection: asyncpg.Connection) -> bool:
    """A pooler gives its clients process ids of its own."""
    return bool(await connection.fetchval("SELECT pg_backend_pid()") == connection.get_server_pid())


async def check_standbys(settings: Settings) -> CheckResult:
    require_external(settings)
    async with open_database(settings) as connection:
        if not await connection.fetchval(IS_REPLICATED) and settings.database_read_url is None:
            raise NotApplicable
        if not await connection.fetchval(MAY_SEE):
            return CheckResult(
                CheckStatus.WARN,
                "standbys: this role may not see them",
                "As a superuser: GRANT pg_monitor TO this role",
            )
        row = await connection.fetchrow(STANDBYS)
    assert row is not None
    if not row["standbys"]:
        remedy = "What is written now is on one disk alone: see `patronictl list`"
        return CheckResult(CheckStatus.WARN, "standbys: none is connected", remedy)
    counted = f"standbys: {row['standbys']} connected"
    if not row["synchronous"]:
        remedy = "What is acknowledged may be lost with this server: set synchronous_mode (config/ha/patroni.yml)"
        return CheckResult(CheckStatus.WARN, f"{counted}, commits wait for none", remedy)
    if row["behind"] > BEHIND_BYTES:
        text = f"{counted}, one is {row['behind'] / MB:,.0f} MB behind"
        return CheckResult(CheckStatus.WARN, text, "Look at its disk and network")
    return CheckResult(CheckStatus.OK, f"{counted}, each commit is on one of them too")


async def check_read_url(settings: Settings) -> CheckResult:
    url = settings.database_read_url
    if url is None:
        raise NotApplicable
    name, remedy = "replica: SINYAL_DATABASE_READ_URL", "Meanwhile everything is read from the server that leads"
    async with open_database(settings) as writer:
        try:
            async with connected(url, pooled=settings.is_pooled) as replica:
                if not await replica.fetchval("SELECT pg_is_in_recovery()"):
                    return CheckResult(CheckStatus.WARN, f"{name} leads to no replica", remedy)
                if await replica.fetchval(SYSTEM) != await writer.fetchval(SYSTEM):
                    text = f"{name} leads to a replica of another database"
                    return CheckResult(CheckStatus.FAIL, text, "Point it to a replica of SINYAL_DATABASE_URL")
                written = await writer.fetchval("SELECT pg_current_wal_lsn()::text")
                behind = await replica.fetchval(BEHIND, written)
        except UNREACHABLE as error:
            return CheckResult(CheckStatus.WARN, f"{name} is not reachable ({describe_error(error)})", remedy)
    if behind > BEHIND_BYTES:
        return CheckResult(CheckStatus.WARN, f"{name} is {behind / MB:,.0f} MB behind", remedy)
    return CheckResult(CheckStatus.OK, f"{name} leads to a replica, {behind / MB:.1f} MB behind")


def require_external(settings: Settings) -> None:
    if settings.database_url is None:
        raise NotApplicable
