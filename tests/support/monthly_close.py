"""A site under contract with a month that is ready to be closed."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close
from app.core.clock import midnight
from tests.conftest import Cast
from tests.support.site_histories import TODAY, site_since, under_contract

MONTH = (TODAY.replace(day=1) - timedelta(days=45)).replace(day=1)  # over for more than eight days


NEXT = (MONTH + timedelta(days=31)).replace(day=1)


START, END = midnight(MONTH), midnight(NEXT)


CLOSES = END + timedelta(days=8)


AFTERWARDS = (END, "up")  # so that the month's last segment is not the open one, of which the evidence is of today


async def close(session: AsyncSession, now: datetime) -> list[Any]:
    """All that is closed, and all corrections, after a run."""
    async with session.begin():
        await monthly_close.close_months(session, now)
        closed = await session.execute(text("SELECT site_id, month, figures FROM closed_month ORDER BY 1, 2"))
        corrected = await session.execute(text("SELECT site_id, reason, figures FROM month_correction ORDER BY id"))
        return [tuple(row) for row in (*closed, *corrected)]


@pytest.fixture
async def contracted(session: AsyncSession, cast: Cast) -> int:
    began = START - timedelta(days=3)
    outage = START + timedelta(days=9)
    site_id = await site_since(session, cast, began, (outage, "down"), (outage + timedelta(hours=4), "up"), AFTERWARDS)
    await under_contract(session, site_id, valid_from=MONTH, terms=[(MONTH, {"sla_target_pct": 99.5})])
    return site_id
