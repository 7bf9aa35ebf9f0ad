"""`sinyal worker`: wins the lock, runs the jobs, and steps down in order."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.postgres.engine import database_url, open_engine, open_sessions
from app.settings import Settings
from app.worker import ingest_heartbeat, speedtest_runner
from app.worker.canaries import BEAT_S
from app.worker.leader_lock import Leadership
from app.worker.probe_loop import Rounds
from probes.sweep import Prober

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    every_s: float
    run: Callable[[Rounds], Awaitable[None]]
    waits: bool = False  # an interval first: also after a step of the clock, which may be put right by then


JOBS = (
    Job("tick", 1, Rounds.tick),
    Job("write", 1, Rounds.write_due),
    Job("beat_canaries", BEAT_S, Rounds.beat_canaries),
    Job("take_in", 1, Rounds.take_in),
    Job("beat_ingest", ingest_heartbeat.BEAT_S, Rounds.beat_ingest),
    Job("refresh", 3, Rounds.refresh),
    Job("diagnose", 1, Rounds.diagnose),
    Job("heartbeat", 60, Rounds.heartbeat),
    Job("measure_speed", speedtest_runner.EVERY_S, Rounds.measure_speed, waits=True),
    Job("count", 60, Rounds.count, waits=True),
    Job("tidy", 3600, Rounds.tidy, waits=True),
)


def start_jobs(rounds: Rounds) -> AsyncIOScheduler:
    """A tick that comes too late is dropped and counted: the next one serves what fell due meanwhile."""
    scheduler = AsyncIOScheduler(timezone=UTC)
    events = EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES | EVENT_JOB_ERROR
    scheduler.add_listener(lambda event: _noted(event, rounds), events)
    schedule_jobs(scheduler, rounds)
    scheduler.start()
    return scheduler


def schedule_jobs(scheduler: AsyncIOScheduler, rounds: Rounds) -> None:
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1, milliseconds=2)
    for job in JOBS:
        first = start + timedelta(seconds=job.every_s if job.waits else 0)
        scheduler.add_job(
            job.run,
            "interval",
            args=[rounds],
            id=job.name,
            seconds=job.every_s,
            next_run_time=first,
            start_date=first,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=1,
            replace_existing=True,
        )


def _noted(event: Any, rounds: Rounds) -> None:
    if event.code == EVENT_JOB_MAX_INSTANCES and event.job_id == "take_in":
        return  # it goes on by itself while there is more
    if event.code == EVENT_JOB_ERROR and isinstance(event, JobExecutionEvent):
        log.error("job_failed", job=event.job_id, error=repr(event.exception))
    else:
        rounds.figures.misfires += 1


async def watch_clock(rounds: Rounds, scheduler: AsyncIOScheduler) -> None:
    """Not a job: after a step back the scheduler itself would wait for the wall clock to catch up."""
    while True:
        await asyncio.sleep(1)
        if rounds.check_clock():
            schedule_jobs(scheduler, rounds)


async def work(settings: Settings) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url = database_url(settings)
    leadership = Leadership(settings.database_direct_url or url)
    engine = open_engine(url, name="worker", pool_size=2)
    try:
        async with Prober.open(settings.probe.policy, packets_per_second=settings.probe.packets_per_second) as prober:
            if prober.icmp_problem:
                log.error("no_icmp", problem=prober.icmp_problem)
            while not stop.is_set():
                if await _unless(stop, leadership.win()):
                    await _lead(Rounds(open_sessions(engine), prober, settings), leadership, stop)
    finally:
        leadership.drop()
        await engine.dispose()


async def _lead(rounds: Rounds, leadership: Leadership, stop: asyncio.Event) -> None:
    await _begin(rounds, stop)
    scheduler = start_jobs(rounds)
    clock = asyncio.create_task(watch_clock(rounds, scheduler))
    try:
        if await _unless(stop, leadership.lose()):
            log.warning("another_worker_leads")
    finally:
        clock.cancel()
        scheduler.pause()
        await rounds.finish()
        scheduler.shutdown(wait=False)
        log.info("rounds_end", **rounds.counted().as_dict())


async def _begin(rounds: Rounds, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await rounds.begin()
            return
        except Exception as error:
            log.warning("not_begun", error=repr(error))
            await asyncio.sleep(1)


async def _unless(stop: asyncio.Event, doing: Awaitable[None]) -> bool:
    """Whether it was done before the stop came."""
    done, waiting = asyncio.ensure_future(doing), asyncio.ensure_future(stop.wait())
    finished, _ = await asyncio.wait({done, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (done, waiting):
        task.cancel()
    await asyncio.gather(done, waiting, return_exceptions=True)
    if done not in finished:
        return False
    done.result()  # what went wrong in it must not pass for done
    return True
