"""What the processes record about themselves: the worker's beats, the lag of counting, the inbox, the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close
from app.core.clock import WITA_SQL, midnight
from app.core.periods import first_of_next_month
from app.judging.invalidation import CLOSES_AFTER_DAYS
from probes.contract import CENTRAL, SILENCE

MOST_COUNTED = 100_000  # rows of a queue
TABLES = 8  # the largest ones

BEATS = text("SELECT source, beat_at, started_at, blind_since, figures FROM worker_beat")
INBOX = text(f"""
    SELECT (SELECT count(*) FROM (SELECT FROM push_inbox WHERE refused_at IS NULL LIMIT {MOST_COUNTED}) w) AS waiting,
        coalesce((SELECT extract(epoch FROM now() - received_at)::float FROM push_inbox
            WHERE refused_at IS NULL ORDER BY id LIMIT 1), 0) AS age_s,
        (SELECT count(*) FROM (SELECT FROM push_inbox WHERE refused_at IS NOT NULL LIMIT {MOST_COUNTED}) r) AS refused,
        coalesce((SELECT extract(epoch FROM now() - received_at)::float FROM prober_inbox
            WHERE refused_at IS NULL ORDER BY id LIMIT 1), 0) AS blocks_age_s,
        (SELECT count(*) FROM (SELECT FROM prober_inbox WHERE refused_at IS NOT NULL LIMIT {MOST_COUNTED}) b)
            AS refused_blocks
""")
NOTIFICATIONS = text("""
    SELECT state, count(*) AS notifications, coalesce(extract(epoch FROM now() - min(created_at))::float, 0) AS oldest_s
    FROM (
        SELECT n.state, n.created_at FROM notification n JOIN channel c ON c.id = n.channel_id
        WHERE n.state = 'queued' AND c.paused_at IS NULL
        UNION ALL
        SELECT state, created_at FROM notification WHERE created_at > now() - interval '24 hours' AND state <> 'queued'
    ) told
    GROUP BY state
""")
FAILING_CHANNELS = text("""
    SELECT id, (failures >= :failures)::int AS is_failing FROM channel WHERE deleted_at IS NULL AND paused_at IS NULL
    ORDER BY id LIMIT 1000
""")
COURIER_BEAT = text("SELECT extract(epoch FROM now() - beat_at)::float AS age_s FROM courier_beat")
COURIER = text("""
    SELECT (SELECT count(*) FROM channel WHERE deleted_at IS NULL) AS channels,
        (SELECT extract(epoch FROM now() - beat_at)::float FROM courier_beat) AS age_s
""")
FAILS_AFTER = 5  # failed deliveries in a row, as the courier's circuit breaker has it

LAGS = text(f"""
    WITH over AS (SELECT date_trunc('hour', now(), 'UTC') AS hour, date_trunc('day', now(), {WITA_SQL}) AS day),
    counted AS (
        SELECT stage, CASE stage WHEN 'hours' THEN hour ELSE day END AS due, upto
        FROM rollup_watermark, over WHERE stage IN ('hours', 'days')
        UNION ALL
        SELECT 'availability', day, (SELECT max(c.day) + 1 FROM counted_day c)::timestamp AT TIME ZONE {WITA_SQL}
        FROM over
    )
    SELECT stage, upto, greatest(0, extract(epoch FROM due - upto))::float AS lag_s
    FROM counted WHERE upto IS NOT NULL ORDER BY stage
""")
RECOUNTS = text(f"""
    SELECT 'hours' AS stage, count(*) AS waiting FROM (SELECT FROM stale_hour LIMIT {MOST_COUNTED}) h
    UNION ALL
    SELECT 'availability', count(*)
    FROM (SELECT FROM stale_day WHERE due_at <= now() LIMIT {MOST_COUNTED}) d
    UNION ALL
    SELECT 'months', count(*) FROM (SELECT FROM stale_month LIMIT {MOST_COUNTED}) m
""")
DATABASE = text("""
    SELECT pg_database_size(current_database()) AS size_bytes, current_setting('server_version') AS postgres,
        (SELECT version_num FROM alembic_version) AS schema
""")
LARGEST = text("""
    SELECT coalesce(pg_partition_root(c.oid)::oid, c.oid)::regclass::text AS name,
        sum(pg_total_relation_size(c.oid))::bigint AS size_bytes
    FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT :tables
""")


@dataclass(frozen=True, slots=True)
class Stage:
    """How far one stage of counting is."""

    stage: str  # hours, days, availability, months
    upto: datetime | None  # counted up to; None: nothing is due before now
    lag_s: float
    waiting: int  # parts that changed since they were counted


async def read_beats(session: AsyncSession) -> dict[str, Row[Any]]:
    """Return the worker's beat (CENTRAL), and what is proven of ingest (SILENCE), as far as there is one."""
    rows = {row.source: row for row in await session.execute(BEATS)}
    return {source: rows[source] for source in (CENTRAL, SILENCE) if source in rows}


async def read_inbox(session: AsyncSession) -> Row[Any]:
    return (await session.execute(INBOX)).one()


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Of the courier: notifications that wait and those of the last 24 hours, by state; whether each channel fails."""

    notifications: Mapping[str, int]
    oldest_s: float  # of those that wait
    channels: Mapping[int, int]
    beat_age_s: float | None  # None: no courier has run


async def read_deliveries(session: AsyncSession) -> Deliveries:
    rows = {row.state: row for row in await session.execute(NOTIFICATIONS)}
    channels = await session.execute(FAILING_CHANNELS, {"failures": FAILS_AFTER})
    return Deliveries(
        {state: row.notifications for state, row in rows.items()},
        max(0.0, rows["queued"].oldest_s) if "queued" in rows else 0.0,
        {row.id: row.is_failing for row in channels},
        await session.scalar(COURIER_BEAT),
    )


async def read_courier(session: AsyncSession) -> Row[Any]:
    """Return `channels` (how many there are) and `age_s` of the courier's last beat; None: none has run."""
    return (await session.execute(COURIER)).one()


async def read_lags(session: AsyncSession) -> Sequence[Row[Any]]:
    """Return `stage`, `upto`, `lag_s` of hours, days and availability."""
    return (await session.execute(LAGS)).all()


async def read_stages(session: AsyncSession, now: datetime) -> list[Stage]:
    waiting: Mapping[str, int] = {row.stage: row.waiting for row in await session.execute(RECOUNTS)}
    stages = [Stage(row.stage, row.upto, row.lag_s, waiting.get(row.stage, 0)) for row in await read_lags(session)]
    due = await monthly_close.oldest_due(session, now)
    lag = timedelta()
    if due is not None:
        lag = now - midnight(first_of_next_month(due)) - timedelta(days=CLOSES_AFTER_DAYS)
    months = Stage("months", None if due is None else midnight(due), max(0.0, lag.total_seconds()), waiting["months"])
    return [*stages, months]


async def read_database(session: AsyncSession) -> dict[str, Any]:
    """Return its size and versions, and its largest tables, each with its partitions."""
    row = (await session.execute(DATABASE)).one()
    tables = await session.execute(LARGEST, {"tables": TABLES})
    return row._asdict() | {"tables": [table._asdict() for table in tables]}
