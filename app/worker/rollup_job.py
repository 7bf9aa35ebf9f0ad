"""What is over is counted, and what has been over for long is closed: a step a transaction."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import daily_availability, monthly_close
from app.core.clock import utc_now
from app.latency import rollup
from app.postgres.engine import Sessions, transaction

log = structlog.get_logger()

MOST_STEPS = 100  # a minute; after a long stop the rest waits for the next one

Step = Callable[[AsyncSession, datetime], Awaitable[object]]  # says whether there was something to do


async def count(sessions: Sessions) -> None:
    for step in (rollup.roll_up, daily_availability.count_days, monthly_close.close_months):
        try:
            await _count(sessions, step)
        except Exception as error:  # one that fails must not keep the others from their work
            log.error("not_counted", step=step.__name__, error=repr(error))


async def _count(sessions: Sessions, step: Step) -> None:
    for _ in range(MOST_STEPS):
        async with transaction(sessions) as session:
            if not await step(session, utc_now()):
                return
