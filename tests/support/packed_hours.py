"""Packs the hours before a moment, as the worker's job does with time."""

from datetime import datetime

from sqlalchemy import text

from app.core.clock import utc_now
from app.measurements import packing
from app.postgres.engine import Sessions, transaction


async def pack_until(
    sessions: Sessions, until: datetime, *, sites_a_step: int = 1, now: datetime | None = None
) -> None:
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE rollup_watermark SET upto = :at WHERE stage = 'hours'"), {"at": until})
    for _ in range(2_000):
        async with transaction(sessions) as session:
            if not await packing.pack_rows(session, now or utc_now(), sites_a_step=sites_a_step):
                return
    raise AssertionError("packing does not end")
