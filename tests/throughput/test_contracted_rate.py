"""A speed test is held against the rate that was contracted on its day."""

from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.throughput import store
from tests.conftest import Cast
from tests.factories import VILLAGE, register
from tests.support.contracts import TODAY, assign_days, create_contract
from tests.support.site_histories import day


async def test_the_contract_of_the_day_gives_the_rate(cast: Cast, session: AsyncSession) -> None:
    site = await register(cast)
    first = await create_contract(cast, bandwidth_down_mbps=50)
    second = await create_contract(cast, number="K-2", bandwidth_down_mbps=20)
    backup = await create_contract(cast, number="K-3", bandwidth_down_mbps=5)
    await assign_days(session, site["id"], first["id"], TODAY - timedelta(days=9), TODAY - timedelta(days=6))
    await assign_days(session, site["id"], second["id"], TODAY - timedelta(days=6), TODAY - timedelta(days=3))
    await assign_days(session, site["id"], backup["id"], TODAY - timedelta(days=8), role="backup")
    async with session.begin():
        provider = await session.scalar(text("SELECT provider_id FROM site WHERE id = :id"), {"id": site["id"]})
        moments = [day(ago, 12) for ago in (10, 8, 6, 2)]
        rows: list[dict[str, Any]] = [
            {
                "site_id": site["id"],
                "planned_at": moment,
                "month": moment.date().replace(day=1),
                "mode": "pull",
                "technology": "fiber",
                "provider_id": provider,
                "parent_id": None,
                "village_code": VILLAGE,
                "down": 1000,
                "up": 0,
                "max_s": 10,
                "waits_until": moment,
            }
            for moment in moments
        ]
        await session.execute(store.PLAN, {"rows": orjson.dumps(rows).decode()})
        rates = await session.scalars(text("SELECT contract_down_mbps FROM throughput_test ORDER BY planned_at"))
        assert list(rates) == [None, 50, 20, 5]
