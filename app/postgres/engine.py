"""Access to PostgreSQL: engine, sessions, errors, and the counters that give every change a version."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import asyncpg
import orjson
from sqlalchemy import ARRAY, ColumnElement, DateTime, Enum, MetaData, Text, any_, event, literal, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, mapped_column

from app.core.errors import Stale
from app.postgres.commits import UNKNOWN, CommitAwareConnection, limited_by
from app.postgres.embedded import Cluster
from app.postgres.work_signals import Work, announce
from app.settings import Settings, SettingsError

Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Sessions = async_sessionmaker[AsyncSession]

# Classes of SQLSTATE with which the data is at fault: cardinality, data, integrity, trigger, check option, limit, RAISE
# With every other one (connection, deadlock, a schema that does not fit, no room, operator intervention, …) it is not.
DATA_FAULT_CLASSES = ("21", "22", "23", "27", "44", "54", "P0")

# What a connection of our own raises while the database goes away: the last one is told in the middle of closing it.
CONNECTION_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

CLIENT_TIMEOUT_MARGIN_S = 2  # beyond statement_timeout, which a connection pooler may drop

READ_ONLY = "25006"  # a standby: where it led before, somebody else does now

CHANNEL = "sinyal_change"  # payload: "<counter>:<version>"

# After a restore everything read before is invalid: in memory and on dashboards.
# Nor does a worker or courier lead that did so before.
NEW_GENERATION = (
    "UPDATE public.change_counter SET version = extract(epoch FROM clock_timestamp()) "
    "WHERE name IN ('generation', 'leader', 'courier')"
)


class Counter(StrEnum):
    STATUS = "status"
    REGISTRY = "registry"
    INCIDENT = "incident"
    PAST = "past"
    ROLLUP = "rollup"
    MONTHS = "months"
    ALERT = "alert"  # of channels and rules


WORK_AFTER = {  # of who looks at what a counter counts, beside those that read its versions
    Counter.REGISTRY: (Work.REGISTRY, Work.SPEEDTESTS, Work.ASSIGNMENT),
    Counter.ALERT: (Work.ANNOUNCEMENTS, Work.DELIVERIES),
}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  # declared by SQLAlchemy as an instance attribute
        str: Text,
        StrEnum: Enum(
            StrEnum, native_enum=False, length=20, values_callable=lambda enum: [member.value for member in enum]
        ),
    }


def database_url(settings: Settings) -> str:
    """Return the URL of the configured or the embedded database. Raises SettingsError when there is neither."""
    if settings.database_url is not None:
        return settings.database_url
    cluster = Cluster(settings.data_dir)
    if not cluster.exists():
        raise SettingsError(
            f"no database in the data folder {settings.data_dir.resolve()}: start `sinyal up` or `sinyal demo` there, "
            "or set SINYAL_DATA_DIR to another folder, or SINYAL_DATABASE_URL to a PostgreSQL database"
        )
    return cluster.url


def direct_url(settings: Settings) -> str:
    """Return the URL for sessions of our own: locks and notifications are lost behind a transaction pooler."""
    return settings.database_direct_url or database_url(settings)


def connect_args(
    name: str, *, command_timeout_s: float | None = 15, query_s: int | None = None, pooled: bool = False
) -> dict[str, Any]:
    """`query_s` is a statement_timeout: PostgreSQL itself cancels a statement that takes longer.

    `pooled`: a transaction pooler stands between. It refuses or ignores most settings of a session, which is not ours
    there: the time limit is set in each transaction instead.
    """
    settings = {"application_name": f"sinyal {name}", "timezone": "UTC"}
    if not pooled:
        settings |= {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
    if query_s is not None and not pooled:
        settings["statement_timeout"] = f"{query_s}s"
    return {"timeout": 5, "command_timeout": command_timeout_s, "server_settings": settings}


def open_engine(
    url: str,
    *,
    name: str,
    pool_size: int = 5,
    command_timeout_s: float | None = 15,
    query_s: int | None = None,
    pooled: bool = False,
) -> AsyncEngine:
    if query_s is not None:
        command_timeout_s = query_s + CLIENT_TIMEOUT_MARGIN_S
    args = connect_args(name, command_timeout_s=command_timeout_s, query_s=query_s, pooled=pooled)
    args["connection_class"] = limited_by(query_s) if pooled and query_s is not None else CommitAwareConnection
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        pool_recycle=1800,
        hide_parameters=True,  # errors are logged, and parameters may hold personal data
        connect_args=args,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
    event.listen(engine.sync_engine, "handle_error", _as_operational_error)
    return engine


def _as_operational_error(context: ExceptionContext) -> OperationalError | None:
    """Report a server that starts up, shuts down or closes the connection like one that is unreachable.

    One that has become a standby is not ours to write to: its connections are given up, the next may lead elsewhere.
    """
    error = context.original_exception
    state = getattr(error, "sqlstate", None) or ""
    unavailable = state.startswith(("08", "57P")) or state == READ_ONLY
    if state == READ_ONLY:
        context.is_disconnect = True
    cut_off = isinstance(error.__cause__, asyncpg.InternalClientError)  # the connection was closed during a statement
    if not (context.is_disconnect or unavailable or cut_off):
        return None
    return OperationalError(context.statement, None, error, hide_parameters=True, connection_invalidated=True)


def open_sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    async with sessions() as session, session.begin():
        yield session


def among(column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """`column IN values`, bound as one array: a statement takes 32,767 parameters at most."""
    return column == any_(literal(list(values), ARRAY(column.type)))  # type: ignore[no-any-return]


async def lock_counter(session: AsyncSession, counter: Counter) -> None:
    """Lock a counter until the commit: wait for transactions that took a version, and block later ones."""
    await session.execute(text("SELECT 1 FROM change_counter WHERE name = :name FOR UPDATE"), {"name": counter.value})


async def next_version(session: AsyncSession, counter: Counter) -> int:
    """Return a counter's next version, and notify listeners of it at the commit.

    The counter's row stays locked until then, so versions become visible in their order: a reader that has seen
    version n has seen all before it. A sequence would let a reader miss a row that commits late.
    """
    version: int = await session.scalar(
        text("UPDATE change_counter SET version = version + 1 WHERE name = :name RETURNING version"),
        {"name": counter.value},
    )
    await session.execute(
        text("SELECT pg_notify(:channel, :payload)"),
        {"channel": CHANNEL, "payload": f"{counter.value}:{version}"},
    )
    if kinds := WORK_AFTER.get(counter):
        await announce(session, *kinds)
    return version


async def bump(session: AsyncSession, counter: Counter) -> None:
    """Advance a counter without a notification: caches compare it. Locks like `next_version`."""
    await session.execute(
        text(
            "INSERT INTO change_counter AS c VALUES (:name, 1) ON CONFLICT (name) DO UPDATE SET version = c.version + 1"
        ),
        {"name": counter.value},
    )


def require_version(if_match: int | None, current: int) -> None:
    """Raises Stale when If-Match names another version than the current one."""
    if if_match is not None and if_match != current:
        raise Stale(
            "If-Match names version {seen}, the current one is {current}: read it again",
            values={"seen": if_match, "current": current},
            your_version=if_match,
            current_version=current,
        )


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's word for what happened; empty where it did not come from there."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def is_commit_unknown(error: BaseException) -> bool:
    """Whether it may be committed: what was to be written is looked for before it is written again."""
    return sqlstate(error) == UNKNOWN


def is_plan_outdated(error: BaseException) -> bool:
    """Whether a statement was prepared before a migration added a column that it returns: it succeeds anew."""
    return type(getattr(error, "orig", None)).__name__ == "InvalidCachedStatementError"


def is_unavailable(error: BaseException) -> bool:
    """Whether no work with the database succeeds just now, whatever the data: the same may succeed later.

    False for what fails again with the same data: the database refuses it, or our own code raises on it.
    """
    if isinstance(error, OSError | MemoryError | PoolTimeout | asyncpg.InternalClientError):  # TimeoutError, too
        return True
    if state := sqlstate(error) or str(getattr(error, "sqlstate", None) or ""):
        return not state.startswith(DATA_FAULT_CLASSES)
    if isinstance(error, DBAPIError):  # without a word of the server's: only a value that cannot be encoded is a fault
        return not isinstance(getattr(error.orig, "__cause__", None), ValueError)
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
