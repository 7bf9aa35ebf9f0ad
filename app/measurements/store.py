"""Readings as rows."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements.models import Measurement
from probes.contract import Reading

# The lock makes whoever closes an hour wait for us: either the count of that hour sees our rows, or we see that it is
# closed and leave a mark. Nobody's clock decides it.
RECORD = text("""
    WITH closed AS (
        SELECT upto FROM rollup_watermark WHERE stage = 'closed' FOR SHARE
    ), fresh AS (
        INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us, reason)
        SELECT n.key, to_timestamp(n.slot), n.source, n.outcome, n.sent, n.valid_s, n.rtt_us, n.reason
        FROM json_to_recordset(cast(:rows AS json)) AS n(
            key int, slot bigint, source text, outcome text, sent int, valid_s int, rtt_us int[], reason text)
        ON CONFLICT DO NOTHING RETURNING site_id, slot
    ), marked AS (
        INSERT INTO stale_hour (site_id, hour)
        SELECT DISTINCT site_id, date_trunc('hour', slot, 'UTC') FROM fresh, closed WHERE slot < closed.upto
        ORDER BY 1, 2 ON CONFLICT DO NOTHING
    )
    SELECT site_id, slot FROM fresh
""")


DROP_FROM = text("""
    WITH dropped AS (DELETE FROM measurement WHERE slot >= :at AND source = :source RETURNING site_id)
    SELECT DISTINCT site_id FROM dropped
""")


async def record(session: AsyncSession, readings: Sequence[Reading]) -> list[tuple[int, datetime]]:
    """Keeps each reading once: (site, slot, source) is its identity, so a batch may come twice.

    Answers (site, slot) of those that are new; what is new in an hour that was counted already has it counted again.
    """
    if not readings:
        return []
    found = await session.execute(RECORD, {"rows": orjson.dumps(list(readings)).decode()})
    return [(row.site_id, row.slot) for row in found]


async def drop_from(session: AsyncSession, at: datetime, *, source: str) -> list[int]:
    """The sites that lost readings with slots from `at` on."""
    return list(await session.scalars(DROP_FROM, {"at": at, "source": source}))


async def list_measurements(
    session: AsyncSession,
    site_id: int,
    start: datetime,
    end: datetime,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Measurement]:
    query = (
        select(Measurement)
        .where(Measurement.site_id == site_id, Measurement.slot >= start, Measurement.slot < end)
        .order_by(Measurement.slot, Measurement.source)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(Measurement.slot, Measurement.source) > after)
    return list(await session.scalars(query))
