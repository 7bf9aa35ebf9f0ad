"""`sinyal courier`: wins its leader lock, then looks at conditions, composes and delivers until it no longer leads."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text

from app.alerts import compose, digests
from app.alerts.conditions import ConditionWatch
from app.core.clock import utc_now
from app.core.stopping import completes
from app.courier import weekly_tests
from app.courier.deliverer import Deliverer
from app.postgres.engine import Sessions, database_url, is_unavailable, open_engine, transaction
from app.postgres.leader_lock import LeaderLock, NoLongerLeader
from app.postgres.leadership import Leadership
from app.postgres.work_signals import Work, WorkSignals
from app.settings import Settings, SettingsError

log = structlog.get_logger()

POOL = 6
LOOK_EVERY = timedelta(seconds=5)  # while changes come; no longer than an announcement waits
WAIT_S = 5.0  # for a signal: a job whose time has come by a clock set ahead starts no later
LOOK_AHEAD = timedelta(seconds=10)  # a next look beyond it was set before the clock was set back
BEAT = text("""
    INSERT INTO courier_beat VALUES (1, :now, :started_at)
    ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at, started_at = excluded.started_at
""")


@dataclass(frozen=True, slots=True)
class CourierJob:
    """What is done again and again; one that is still running is not started again."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[object]]
    wait: Callable[[], Awaitable[object]] | None = None  # then, for a reason to run again


@dataclass
class Courier:
    """The work of one leadership."""

    sessions: Sessions
    settings: Settings
    signals: WorkSignals = field(default_factory=WorkSignals)
    started_at: datetime = field(default_factory=utc_now)
    _is_changed: bool = True  # something was announced, or an incident or rule changed, since the last look
    _look_at: datetime = field(default_factory=utc_now)
    _due_at: datetime | None = None

    def __post_init__(self) -> None:
        self.deliverer = Deliverer(self.sessions, self.settings, signals=self.signals)
        self.conditions = ConditionWatch()

    def jobs(self) -> Sequence[CourierJob]:
        return (
            CourierJob("compose", 1, self.compose, self._wait_for_announcements),
            CourierJob("deliver", 2, self.deliverer.start_signalled, self._wait_for_deliveries),
            CourierJob("hand_over", 10, self.hand_over),
            CourierJob("give_up", 30, self.give_up),
            CourierJob("beat", 10, self.beat),
            CourierJob("conditions", 60, self.evaluate),
            CourierJob("close_groups", 60, self.close_groups),
            CourierJob("digests", 60, self.write_digests),
            CourierJob("weekly_tests", 60, self.write_weekly_tests),
        )

    async def compose(self) -> None:
        """Compose once something is due, or may be by what changed; else the database is not asked."""
        now = utc_now()
        self._is_changed |= self.signals.take(Work.ANNOUNCEMENTS)
        is_due = self._due_at is not None and now >= self._due_at
        if not (is_due or self._look_at > now + LOOK_AHEAD or (self._is_changed and now >= self._look_at)):
            return
        self._is_changed = False
        try:
            self._due_at = await compose.compose(self.sessions, now=now, settings=self.settings)
        except Exception:
            self._is_changed = True
            raise
        self._look_at = now + min(LOOK_EVERY, compose.timing_of(self.settings).wait)

    async def _wait_for_announcements(self) -> None:
        if not self._is_changed:
            await self.signals.wait(Work.ANNOUNCEMENTS, _wait_s(self._due_at))

    async def _wait_for_deliveries(self) -> None:
        await self.signals.wait(Work.DELIVERIES, _wait_s(self.deliverer.due_at))

    async def hand_over(self) -> None:
        if self.deliverer.holds_queued:
            await self.deliverer.hand_over()
            self.signals.signal(Work.DELIVERIES)  # also what was taken back

    async def give_up(self) -> None:
        if self.deliverer.holds_queued:
            await self.deliverer.give_up()
            self.signals.signal(Work.DELIVERIES)

    async def close_groups(self) -> None:
        async with transaction(self.sessions) as session:
            await compose.close_groups(session, now=utc_now())

    async def evaluate(self) -> None:
        async with transaction(self.sessions) as session:
            await self.conditions.evaluate(session, now=utc_now())

    async def write_digests(self) -> None:
        async with transaction(self.sessions) as session:
            await digests.write_digests(session, now=utc_now(), base=self.settings.public_base)

    async def write_weekly_tests(self) -> None:
        async with transaction(self.sessions) as session:
            await weekly_tests.write_due(session, utc_now())

    async def beat(self) -> None:
        async with transaction(self.sessions) as session:
            await session.execute(BEAT, {"now": utc_now(), "started_at": self.started_at})

    async def run(self, until: Awaitable[object]) -> None:
        """Run the jobs beside each other until `until` returns. What is under way then is repeated by the next."""
        jobs = [asyncio.create_task(_repeat(job), name=job.name) for job in self.jobs()]
        try:
            await until
        finally:
            for task in jobs:
                task.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await self.deliverer.stop()


async def _repeat(job: CourierJob) -> None:
    """Run the job, again after each failure; a failure that lasts is logged as it begins."""
    failed: str | None = None
    while True:
        try:
            await job.run()
            failed = None
        except NoLongerLeader:
            return
        except Exception as error:
            if failed != repr(error):
                _log_failure(job.name, error)
            failed = repr(error)
        await asyncio.sleep(job.every_s)
        if job.wait is not None:
            await job.wait()


def _wait_s(due_at: datetime | None) -> float:
    """Return how long to wait for a signal, if something is due then."""
    return WAIT_S if due_at is None else min(max((due_at - utc_now()).total_seconds(), 0.0), WAIT_S)


def _log_failure(job: str, error: Exception) -> None:
    if isinstance(error, SettingsError):
        log.error("courier_misconfigured", job=job, problem=str(error))
    elif is_unavailable(error):
        log.warning("courier_found_no_database", job=job, error=repr(error))
    else:
        log.error("courier_job_failed", job=job, error=repr(error), exc_info=error)


async def deliver(settings: Settings, stop: asyncio.Event) -> None:
    """Lead, or stand by until the leader ends; until `stop` is set."""
    url = database_url(settings)
    lock = LeaderLock(settings.database_direct_url or url, Leadership.COURIER)
    engine = open_engine(url, name="courier", pool_size=POOL, pooled=settings.is_pooled)
    try:
        while not stop.is_set():
            if await completes(lock.win(), stop):
                log.info("courier_started")
                courier = Courier(lock.open_sessions(engine), settings, lock.signals)
                await courier.run(completes(lock.wait_until_lost(), stop))
                log.info("courier_stopped")
    finally:
        lock.abandon()
        await engine.dispose()
