"""The job that packs readings of hours that are over: one step a transaction."""

from functools import partial

from app.core.clock import utc_now
from app.measurements import day_packs, packing
from app.postgres.engine import Sessions, transaction
from app.worker.jobs import Job

EVERY_S = 60
MOST_STEPS = 100  # a run; what is left, as after an upgrade or a long stop, waits for the next one


def jobs(sessions: Sessions) -> list[Job]:
    return [Job("packing", EVERY_S, partial(pack_readings, sessions), delayed=True, may_overrun=True)]


async def pack_readings(sessions: Sessions) -> None:
    for _ in range(MOST_STEPS):
        async with transaction(sessions) as session:
            if not await packing.pack_rows(session, utc_now()) and not await day_packs.pack_days(session, utc_now()):
                return
