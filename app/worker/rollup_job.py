"""The job that counts hours and days that are over, and closes months: one step a transaction."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import daily_rollup, monthly_close
from app.core.clock import utc_now
from app.latency import looks, rollup
from app.postgres.engine import Sessions, transaction
from app.postgres.leader_lock import NoLongerLeader
from app.worker.jobs import Job

log = structlog.get_logger()

EVERY_S = 60
MOST_STEPS = 100  # a run; after a long stop the rest waits for the next one

Step = Callable[[AsyncSession, datetime], Awaitable[object]]  # returns whether there was something to do


def jobs(sessions: Sessions) -> list[Job]:
    return [Job("rollup", EVERY_S, partial(run_rollups, sessions), delayed=True)]


async def run_rollups(sessions: Sessions) -> None:
    for step in (rollup.roll_up, looks.count_looks, daily_rollup.count_days, monthly_close.close_months):
        try:
            await _repeat(sessions, step)
        except NoLongerLeader:
            raise
        except Exception as error:  # one that fails must not keep the others from their work
            log.error("rollup_failed", step=step.__name__, error=repr(error), exc_info=error)


async def _repeat(sessions: Sessions, step: Step) -> None:
    for _ in range(MOST_STEPS):
        async with transaction(sessions) as session:
            if not await step(session, utc_now()):
                return
