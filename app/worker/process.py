"""`sinyal worker`: wins the leader lock, runs the jobs that each module declares, and steps down in order."""

import asyncio
import signal
from collections.abc import Awaitable
from datetime import datetime

import structlog

from app.core.clock import floor_second, to_slot, utc_now
from app.core.stopping import completes
from app.diagnoses import store as diagnoses
from app.judging import dated_profiles
from app.judging.blind_ranges import BlindRange
from app.judging.models import WorkerBeat
from app.measurements import partitions
from app.postgres.engine import database_url, direct_url, open_engine, open_sessions, transaction
from app.postgres.leader_lock import LeaderLock, NoLongerLeader
from app.profiles import profiles
from app.settings import Settings
from app.worker import certificates_job, housekeeping, open_data_job, packing_job, public_files, resharding, rollup_job
from app.worker.canary_watch import CanaryWatch
from app.worker.clock_watch import ClockWatch
from app.worker.context import WorkerContext
from app.worker.dead_mans_switch import DeadMansSwitch
from app.worker.diagnosis_runner import DiagnosisRunner
from app.worker.handover import hand_over
from app.worker.inbox_consumer import InboxConsumer
from app.worker.ingest_heartbeat import open_heartbeat
from app.worker.jobs import Job, schedule_jobs, start_jobs
from app.worker.judged_elsewhere import JudgedElsewhere
from app.worker.probe_loop import ProbeLoop
from app.worker.prober_assignment import ProberAssignment
from app.worker.prober_consumer import ProberConsumer
from app.worker.registry_refresh import RegistryRefresh
from app.worker.shard_tasks_job import ShardTaskConsumer
from app.worker.shard_worker import take_seats
from app.worker.speedtest_runner import SpeedtestRunner, download_by
from app.worker.telemetry_reader import TelemetryReader
from app.worker.writer import HANDED_OVER, BufferWriter, last_beat
from probes.sweep import Prober

log = structlog.get_logger()

HANDOVER_S = 15  # from the last probe of one worker to the first of the next: no more than a missed slot


class Worker:
    """The jobs of one leadership."""

    def __init__(self, context: WorkerContext) -> None:
        self.context = context
        self.clock_watch = ClockWatch(context)
        self.writer = BufferWriter(context, self.clock_watch)
        self.speedtests = SpeedtestRunner(context.sessions, download_by(context.prober), signals=context.signals)
        self.probe_loop = ProbeLoop(context, self.speedtests, self.writer)
        self.canary_watch = CanaryWatch(context)
        self.heartbeat = open_heartbeat(context.settings)
        self.inbox = InboxConsumer(
            context.judging,
            context.counters,
            self.heartbeat,
            peers=context.peers,
            signals=context.signals,
            write_lock=context.write_lock,
            on_judged=lambda judged: context.schedule.follow(judged, now=context.slot),
        )
        self.probers = ProberConsumer(
            context.judging,
            context.counters,
            signals=context.signals,
            write_lock=context.write_lock,
            on_judged=lambda judged: context.schedule.follow(judged, now=context.slot),
        )
        self.registry_refresh = RegistryRefresh(context)
        self.assignment = ProberAssignment(context)
        self.diagnoses = DiagnosisRunner(context.sessions, context.prober, signals=context.signals)
        self.telemetry = TelemetryReader(context.sessions, context.prober, context.settings)
        self.dead_mans_switch = DeadMansSwitch(context.settings.heartbeat_url, self.writer)

    def shard_jobs(self) -> list[Job]:
        """Return what is to be done while others judge as well."""
        context, seat = self.context, self.context.judging.seat
        if seat is None:
            return []
        tasks = ShardTaskConsumer(context.judging, seat, self.registry_refresh, context.signals, context.write_lock)
        return [*tasks.jobs(), *JudgedElsewhere(context).jobs()]

    def jobs(self) -> list[Job]:
        return [
            *self.probe_loop.jobs(),
            *self.canary_watch.jobs(),
            *self.inbox.jobs(),
            *self.probers.jobs(),
            *self.heartbeat.jobs(),
            *self.registry_refresh.jobs(),
            *self.assignment.jobs(),
            *self.diagnoses.jobs(),
            *self.dead_mans_switch.jobs(),
            *self.speedtests.jobs(),
            *self.telemetry.jobs(),
            *rollup_job.jobs(self.context.sessions),
            *packing_job.jobs(self.context.sessions),
            *certificates_job.jobs(self.context.sessions),
            *open_data_job.jobs(self.context),
            *public_files.jobs(self.context),
            *housekeeping.jobs(self.context),
            *self.shard_jobs(),
        ]

    async def start(self) -> None:
        """Take over from the worker before: since its last beat nothing was probed."""
        context, now = self.context, floor_second(utc_now())
        context.judging.seat = await resharding.take_first_seat(context.sessions, context.settings)
        async with transaction(context.sessions) as session:
            await partitions.create_ahead(session, now)
            await dated_profiles.record_profiles(session, now)
            await diagnoses.fail_running(session)
            beat = await last_beat(session)
            await self.inbox.start(session)
            await self.probers.start(session)
        self.canary_watch.inform_peers()  # until a canary answers, no push counts as missed
        await self.registry_refresh.refresh()
        self._continue_after(beat, now)
        log.info("worker_started", sites=len(context.schedule.plans), canaries=len(context.canaries.addresses))

    def _continue_after(self, beat: WorkerBeat | None, now: datetime) -> None:
        """Probe at once what the worker before, handing over, no longer did; after any longer gap we were blind."""
        if beat is None:
            return
        probed_until = beat.figures.get(HANDED_OVER, 0)
        if to_slot(now) - probed_until <= min(HANDOVER_S, *(profile.interval_s for profile in profiles().values())):
            self.context.schedule.catch_up(probed_until, self.context.slot)
        elif beat.beat_at < now:
            self.context.buffer.put_blind(BlindRange(floor_second(beat.beat_at), now, "stopped"))

    async def run(self, until: Awaitable[bool]) -> None:
        """Run the jobs until `until` returns whether this worker still leads; what is left is written only then."""
        jobs = self.jobs()
        scheduler = start_jobs(jobs, self.context.counters)
        clock = asyncio.create_task(self.clock_watch.run(lambda: schedule_jobs(scheduler, jobs), self.inbox.resume))
        still_leads = False
        try:
            still_leads = await until
        finally:
            clock.cancel()
            scheduler.pause()
            await self.stop(flush=still_leads)
            scheduler.shutdown(wait=False)
            log.info("worker_stopped", **self.context.current_counters().as_dict())

    async def stop(self, *, flush: bool = True) -> None:
        """End what runs, and with `flush` write what the sweeps under way read: at an orderly end nothing is lost.

        Without, what they read stays in the buffer: another worker leads, and takes it over (`handover`).
        """
        await self.diagnoses.stop()
        await self.speedtests.stop()
        await self.heartbeat.close()
        self.telemetry.close()
        await self.probe_loop.finish_sweeps()
        probed_until = self.probe_loop.probed_until
        await self.canary_watch.probe_last()
        if flush:
            await self.probe_loop.flush()
            await self.writer.write_moved()
            await self.writer.write_handover(probed_until)


async def work(settings: Settings) -> None:
    """Lead, or stand by until the leader ends; until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url = database_url(settings)
    lock = LeaderLock(direct_url(settings))
    engine = open_engine(url, name="worker", pool_size=2, pooled=settings.is_pooled)
    unfenced, leading = open_sessions(engine), asyncio.Event()
    seating = asyncio.create_task(take_seats(settings, leading, stop))
    try:
        async with Prober.open(settings.probe_policy, packets_per_second=settings.probe.packets_per_second) as prober:
            if prober.icmp_problem:
                log.error("icmp_unavailable", problem=prober.icmp_problem)
            while not stop.is_set():
                if await completes(lock.win(), stop):
                    leading.set()
                    context = WorkerContext(lock.open_sessions(engine), prober, settings, signals=lock.signals)
                    worker = Worker(context)
                    await _lead(worker, lock, stop)
                    if lock.is_superseded:
                        await hand_over(context, unfenced, worker.writer.routing)
                    leading.clear()
    finally:
        stop.set()
        lock.abandon()
        await seating
        await engine.dispose()


async def _lead(worker: Worker, lock: LeaderLock, stop: asyncio.Event) -> None:
    async def still_leads() -> bool:
        if await completes(lock.wait_until_lost(), stop):
            log.warning("leadership_lost")
        return not lock.is_superseded  # a lock that our own dead session holds is no reason to discard readings

    try:
        is_started = await completes(_start(worker), stop)
    except NoLongerLeader:
        log.warning("leadership_lost")
        return
    if is_started:
        await worker.run(still_leads())


async def _start(worker: Worker) -> None:
    """Try until it succeeds. Raises NoLongerLeader."""
    while True:
        try:
            return await worker.start()
        except NoLongerLeader:
            raise
        except Exception as error:
            log.warning("start_failed", error=repr(error), exc_info=error)
            await asyncio.sleep(1)
