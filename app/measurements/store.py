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
""")


async def record(session: AsyncSession, readings: Sequence[Reading]) -> None:
    """Keeps each reading once: (site, slot, source) is its identity, so a batch may come twice."""
    await session.execute(RECORD, {"rows": orjson.dumps(list(readings)).decode()})


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
