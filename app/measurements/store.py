"""Readings as rows."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements.models import Measurement
from probes.contract import Reading

RECORD = text("""
    INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us, reason)
    SELECT n.key, to_timestamp(n.slot), n.source, n.outcome, n.sent, n.valid_s, n.rtt_us, n.reason
    FROM json_to_recordset(cast(:rows AS json)) AS n(
        key int, slot bigint, source text, outcome text, sent int, valid_s int, rtt_us int[], reason text)
    ON CONFLICT DO NOTHING
    RETURNING site_id, slot
""")
DROP_FROM = text("""
    WITH dropped AS (DELETE FROM measurement WHERE slot >= :at AND source = :source RETURNING site_id)
    SELECT DISTINCT site_id FROM dropped
""")


async def record(session: AsyncSession, readings: Sequence[Reading]) -> list[tuple[int, datetime]]:
    """Keeps each reading once: (site, slot, source) is its identity, so a batch may come twice.

    Site and slot of those that are new.
    """
    rows = await session.execute(RECORD, {"rows": orjson.dumps(list(readings)).decode()})
    return [(site_id, slot) for site_id, slot in rows]


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
