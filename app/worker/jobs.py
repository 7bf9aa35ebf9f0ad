"""Periodic jobs: each module of the worker declares its own; APScheduler runs them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.postgres.engine import is_unavailable
from app.postgres.leader_lock import NoLongerLeader
from app.worker.counters import WorkerCounters

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """`run` must be a coroutine function; it never runs twice at once."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[None]]
    delayed: bool = False  # first after an interval: also after a clock step, which may be corrected by then
    may_overrun: bool = False  # a run longer than the interval is no misfire


def start_jobs(jobs: Sequence[Job], counters: WorkerCounters) -> AsyncIOScheduler:
    """Start the jobs. A run that starts too late is skipped and counted: the next one does its work as well."""
    scheduler = AsyncIOScheduler(timezone=UTC)
    overrunning = {job.name for job in jobs if job.may_overrun}

    def on_event(event: Any) -> None:
        if event.code == EVENT_JOB_ERROR and isinstance(event, JobExecutionEvent):
            _log_failure(event.job_id, event.exception)
        elif event.code != EVENT_JOB_MAX_INSTANCES or event.job_id not in overrunning:
            counters.misfires += 1

    scheduler.add_listener(on_event, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES | EVENT_JOB_ERROR)
    schedule_jobs(scheduler, jobs)
    scheduler.start()
    return scheduler


def schedule_jobs(scheduler: AsyncIOScheduler, jobs: Sequence[Job]) -> None:
    """Add the jobs, or move them to the wall clock as it is now."""
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1, milliseconds=2)
    for job in jobs:
        first = start + timedelta(seconds=job.every_s if job.delayed else 0)
        scheduler.add_job(
            job.run,
            "interval",
            id=job.name,
            seconds=job.every_s,
            next_run_time=first,
            start_date=first,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=1,
            replace_existing=True,
        )


def _log_failure(job: str, error: BaseException) -> None:
    if isinstance(error, NoLongerLeader | asyncio.CancelledError):
        return  # the worker steps down or ends, which is logged once
    if is_unavailable(error):
        log.warning("job_found_no_database", job=job, error=repr(error))
    else:
        log.error("job_failed", job=job, error=repr(error), exc_info=error)
