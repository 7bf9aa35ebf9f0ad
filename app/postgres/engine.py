"""The one way to PostgreSQL: engine, sessions, and the counters that give every change a version."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import orjson
from asyncpg import InternalClientError
from sqlalchemy import ARRAY, ColumnElement, DateTime, Enum, MetaData, Text, any_, event, literal, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, mapped_column

from app.core.errors import Stale
from app.postgres.embedded import Cluster
from app.settings import Settings, SettingsError

Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Sessions = async_sessionmaker[AsyncSession]

# Classes of SQLSTATE with which no data is at fault: connection, read-only standby, deadlock, schema or privileges that
# do not fit this version, no room, lock not available, operator intervention, system error.
AVAILABILITY_CLASSES = ("08", "25006", "40", "42", "53", "55", "57", "58")

AFTER_THE_SERVER_S = 2  # where a pooler keeps our limit from the server, we give up so much later

CHANNEL = "sinyal_change"  # payload: "<counter>:<version>"

# What was read of a database before it was restored means nothing after: not in memory, nor on dashboards.
# Nor does a worker lead that did so before.
NEW_GENERATION = (
    "UPDATE public.change_counter SET version = extract(epoch FROM clock_timestamp()) "
    "WHERE name IN ('generation', 'leader')"
)


class Counter(StrEnum):
    STATUS = "status"
    REGISTRY = "registry"
    INCIDENT = "incident"
    PAST = "past"
    ROLLUP = "rollup"
    MONTHS = "months"


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


def connect_args(name: str, *, command_timeout_s: float | None = 15, query_s: int | None = None) -> dict[str, Any]:
    """With `query_s` PostgreSQL itself ends a statement that takes longer: it goes on for nobody."""
    limited = {} if query_s is None else {"statement_timeout": f"{query_s}s"}
    return {
        "timeout": 5,
        "command_timeout": command_timeout_s,
        "server_settings": {
            "application_name": f"sinyal {name}",
            "timezone": "UTC",
            "tcp_keepalives_idle": "30",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
            **limited,
        },
    }


def open_engine(
    url: str, *, name: str, pool_size: int = 5, command_timeout_s: float | None = 15, query_s: int | None = None
) -> AsyncEngine:
    if query_s is not None:
        command_timeout_s = query_s + AFTER_THE_SERVER_S
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        pool_recycle=1800,
        hide_parameters=True,  # they may hold a contact person; errors are logged
        connect_args=connect_args(name, command_timeout_s=command_timeout_s, query_s=query_s),
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
    event.listen(engine.sync_engine, "handle_error", _away_too)
    return engine


def _away_too(context: ExceptionContext) -> OperationalError | None:
    """A server that starts up, goes down or hangs up is away, like one that nobody reaches: one error for all."""
    error = context.original_exception
    away = (getattr(error, "sqlstate", None) or "").startswith(("08", "57P"))
    confused = isinstance(error.__cause__, InternalClientError)  # hung up in the middle of a statement
    if not (context.is_disconnect or away or confused):
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
    """Waits for all who are about to take a version, and keeps the next ones waiting until the commit."""
    await session.execute(text("SELECT 1 FROM change_counter WHERE name = :name FOR UPDATE"), {"name": counter.value})


async def next_version(session: AsyncSession, counter: Counter) -> int:
    """The next version of a counter, and the notice that it will be there after the commit.

    The counter's row stays locked until then, so versions become visible in their order: a reader that has seen
    version n has seen all before it. A sequence would lose a row that commits late.
    """
    version: int = await session.scalar(
        text("UPDATE change_counter SET version = version + 1 WHERE name = :name RETURNING version"),
        {"name": counter.value},
    )
    await session.execute(
        text("SELECT pg_notify(:channel, :payload)"),
        {"channel": CHANNEL, "payload": f"{counter.value}:{version}"},
    )
    return version


async def bump(session: AsyncSession, counter: Counter) -> None:
    """A next version that nobody is told of: those who remember what was counted look for it. Locked as the others."""
    await session.execute(
        text(
            "INSERT INTO change_counter AS c VALUES (:name, 1) ON CONFLICT (name) DO UPDATE SET version = c.version + 1"
        ),
        {"name": counter.value},
    )


def require_version(seen: int | None, current: int) -> None:
    """Raises Stale when the caller saw another version (If-Match) than the one that is there."""
    if seen is not None and seen != current:
        raise Stale(
            "If-Match names version {seen}, the current one is {current}: read it again",
            values={"seen": seen, "current": current},
            your_version=seen,
            current_version=current,
        )


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's word for what happened; empty where it did not come from there."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def is_refused(error: Exception) -> bool:
    """Whether it is the data that the database does not take (classes 22 and 23), and not the database that is away."""
    return sqlstate(error).startswith(("22", "23"))


def is_unavailable(error: BaseException) -> bool:
    """Whether no work with the database succeeds just now, whatever the data: the same may succeed later.

    False for what fails again with the same data: the database refuses it, or our own code raises on it.
    """
    if isinstance(error, OSError | OperationalError | PoolTimeout):  # OSError: TimeoutError among them
        return True
    if isinstance(error, InterfaceError):  # asyncpg's own refusal to encode a value is one, too
        return not isinstance(getattr(error.orig, "__cause__", None), ValueError)
    state = sqlstate(error) or str(getattr(error, "sqlstate", None) or "")
    return state.startswith(AVAILABILITY_CLASSES)
