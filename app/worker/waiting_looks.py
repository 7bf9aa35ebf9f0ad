"""Judges sites that several vantages look at, once all of them have looked or were waited for."""

from typing import Any

import structlog

from app.core.clock import utc_now
from app.judging import ingest
from app.judging.ingest import JudgedSite
from app.worker.judging_session import JudgingSessions
from app.worker.recount import recount_ingested
from app.worker.rejection import write_in_parts

log = structlog.get_logger()

MOST_SITES = 500  # a transaction


async def judge_waiting_looks(judging: JudgingSessions) -> list[JudgedSite]:
    """Call it under the write lock. What cannot be judged waits on, or is left to the site's next look."""
    judged: list[JudgedSite] = []

    async def write(part: list[Any]) -> None:
        async with judging.transaction() as (session, _):
            result = await ingest.judge_waiting(session, dict(part))
            await recount_ingested(session, result)
        judged.extend(result.judged)

    async def reject(part: list[Any], error: Exception) -> None:
        judging.waits.forget(dict(part))
        log.error("looks_not_judged", site=part[0][0], error=repr(error), exc_info=error)

    while judging.is_loaded and (due := judging.waits.due(utc_now(), most=MOST_SITES)):
        parts = [list(due.items())]
        await write_in_parts(parts, write, reject)
        if parts:
            break
    return judged
