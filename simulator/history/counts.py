"""Roll up and count a simulated past by the product's own jobs, in transactions of their own.

If this process dies, the worker goes on with the same jobs where it ended.
"""

from collections.abc import Callable

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.daily_rollup import count_days
from app.availability.models import ClosedMonth, CountedDay
from app.availability.monthly_close import close_months
from app.core.clock import WITA, from_slot, midnight
from app.latency.rollup import roll_up_day, roll_up_region_day, roll_up_region_month, rolled_up_regions
from app.latency.rollup_sql import PLANNER_SETTINGS
from app.postgres.engine import Sessions, transaction
from simulator.history.plan import DAY, HistoryPlan

DAYS_PER_STEP = 10

Say = Callable[[str], None]


async def roll_up_latency(sessions: Sessions, plan: HistoryPlan) -> None:
    """Roll up days, regions and months, as `app.latency.rollup` does."""
    site_ids = [site.id for site in plan.sites]
    today = from_slot(plan.end).astimezone(WITA).date()
    day = from_slot(plan.start).astimezone(WITA).date()
    while day < today:
        async with transaction(sessions) as session:
            await session.execute(PLANNER_SETTINGS)
            await roll_up_day(session, day, site_ids)
            await roll_up_region_day(session, day, rolled_up_regions())
            if (day + DAY).day == 1:
                await roll_up_region_month(session, day.replace(day=1), rolled_up_regions())
            await session.execute(
                text("UPDATE rollup_watermark SET upto = :upto WHERE stage = 'days'"), {"upto": midnight(day + DAY)}
            )
        day += DAY


async def count_availability(sessions: Sessions, plan: HistoryPlan, days: int, say: Say) -> None:
    """Count days and close months until nothing more can be; days of outages that still run are left to the worker."""
    counted = -1
    while counted != (counted := await _count_some_days(sessions, plan)):
        say(f"history: {counted} of {days} days counted")
    closed = -1
    while closed != (closed := await _close_months(sessions, plan)):
        pass


async def _count_some_days(sessions: Sessions, plan: HistoryPlan) -> int:
    async with transaction(sessions) as session:
        await count_days(session, from_slot(plan.end), days=DAYS_PER_STEP)
        return await _count_rows(session, CountedDay)


async def _close_months(sessions: Sessions, plan: HistoryPlan) -> int:
    async with transaction(sessions) as session:
        await close_months(session, from_slot(plan.end))
        return await _count_rows(session, ClosedMonth)


async def _count_rows(session: AsyncSession, model: type[CountedDay] | type[ClosedMonth]) -> int:
    return await session.scalar(select(func.count()).select_from(model)) or 0
