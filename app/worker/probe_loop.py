"""The worker's work: schedule → look → buffer → judge and write. The only bridge between probes and the database."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import idempotency_store as answers
from app.access import login_throttle, stream_tickets
from app.access import sessions as sign_ins
from app.core.clock import SlotClock, from_slot, utc_now
from app.diagnoses import store as diagnoses
from app.judging import checkpoints, propagation, thresholds
from app.judging.blind_ranges import BlindRange
from app.judging.ingest import AddressedReading, JudgedSite
from app.judging.rejudge import rejudgeable_since
from app.measurements import partitions
from app.postgres.engine import Counter, Sessions, bump, is_refused, transaction
from app.profiles import profiles
from app.push import receipts
from app.registry.models import State
from app.settings import Settings
from app.worker import canaries as canary
from app.worker import rollup_job, writer
from app.worker.canaries import Canaries
from app.worker.counters import Figures
from app.worker.diagnosis_runner import Diagnoses
from app.worker.inbox_consumer import Intake
from app.worker.ingest_heartbeat import own_beat
from app.worker.schedule import Schedule
from app.worker.speedtest_runner import Speed, pulling
from app.worker.write_buffer import LARGEST, Buffer, excused
from probes.contract import Outcome, Target
from probes.sweep import Prober

log = structlog.get_logger()

IDLE_BEAT_S = 5.0
UNHURRIED_S = 3.0  # so long what says nothing new waits for more: a write costs little more for many readings
STEP_TOLERANCE_S = 1.0
LAST_LOOKS_S = 3.0  # at an orderly end, which the supervisor gives 6 s in all
TARDY_S = 2.0  # a round that takes this much longer than its packets is an overrun


@dataclass
class Rounds:
    sessions: Sessions
    prober: Prober
    settings: Settings
    clock: SlotClock = field(default_factory=SlotClock)
    schedule: Schedule = field(default_factory=Schedule)
    figures: Figures = field(default_factory=Figures)

    def __post_init__(self) -> None:
        self.canaries = Canaries(self.settings.canaries)
        self.buffer = Buffer(self.settings.probe.buffer_readings)
        self.diagnoses = Diagnoses(self.sessions, self.prober)
        self.speed = Speed(self.sessions, pulling(self.prober))
        self.started_at = utc_now()
        self._registry_seen = -1
        self._looks: set[asyncio.Task[None]] = set()
        self._blind: list[BlindRange] = []
        self._largest = LARGEST
        self._ranges_alone = False  # a batch was refused with them: whose fault it is shows when they go by themselves
        self._writing = asyncio.Lock()
        self._stepped = False
        self._set_back: tuple[datetime, timedelta] | None = None  # to when, and how far
        self._last_write = float("-inf")
        self._away = False
        self.intake = Intake(self.sessions, self.figures, own_beat(self.settings))
        self._expected: dict[int, Outcome | None] = {}  # by site, what a look would find if nothing has changed

    async def begin(self) -> None:
        """Takes over from whoever worked before: what lies since its last beat was not looked at."""
        now = utc_now().replace(microsecond=0)
        async with transaction(self.sessions) as session:
            await partitions.create_ahead(session, now)
            await thresholds.record_profiles(session, now)
            await diagnoses.fail_running(session)
            beat_at = await writer.last_beat(session)
            await self.intake.begin(session)
        self._tell_crowd()  # until a canary answers, nobody's silence tells anything
        await self.refresh()
        if beat_at is not None and beat_at < now:
            self._blind.append(BlindRange(beat_at.replace(microsecond=0), now, "stopped"))
        log.info("rounds_begin", sites=len(self.schedule.plans), canaries=len(self.canaries.addresses))

    async def tick(self) -> None:
        """Sends off every look that fell due; they end by themselves, many rounds at once."""
        taken = self.schedule.take(int(self.clock.now()))
        if taken:
            self.figures.rounds += 1
            task = asyncio.create_task(self._look(taken))
            self._looks.add(task)
            task.add_done_callback(self._looks.discard)

    async def _look(self, taken: Sequence[tuple[Target, datetime]]) -> None:
        targets = [target for target, _ in taken]
        started = time.monotonic()
        readings = await self.prober.sweep(targets)
        longest = max((t.packets - 1) * t.spacing_s + t.timeout_s for t in targets)
        self.figures.overruns += time.monotonic() - started > longest + TARDY_S
        self.figures.readings += len(readings)
        self.figures.faults += sum(reading.outcome is Outcome.FAULT for reading in readings)
        items = [(reading, at) for reading, (_, at) in zip(readings, taken, strict=True)]
        self.buffer.put(excused(items, self.speed.loaded(started)), ended=self.clock.now())

    async def beat_canaries(self) -> None:
        before = self.canaries.blind_since
        await canary.beat(self.canaries, self.prober, self.clock.now())
        if before is None and self.canaries.blind_since is not None:
            log.warning("blind", canaries=len(self.canaries.addresses), why="no canary answers: nothing is judged down")
        elif before is not None and self.canaries.blind_since is None:
            log.info("sighted")
        self._tell_crowd()
        self._blind += self.canaries.found
        self.canaries.found.clear()

    async def take_in(self) -> None:
        """What devices pushed, until nothing is left of it; then what it says that others did not."""
        more = True
        while more:
            now = utc_now()
            async with self._writing:
                judged, more = await self.intake.step()
            self._follow(judged)
        if self.intake.is_up_to_date:
            async with self._writing:
                self._follow(await self.intake.listen(now))

    async def beat_ingest(self) -> None:
        await self.intake.own.send()

    def _tell_crowd(self) -> None:
        """While our own uplink is out no device comes through either: its silence tells nothing of it."""
        crowd, canaries = self.intake.crowd, self.canaries
        crowd.clear_until = from_slot(int(canaries.seen_until)) if canaries.addresses else None
        for one in canaries.found:
            crowd.was_away(one.started_at, one.ended_at)

    async def write_due(self) -> None:
        """At once where something may have changed, and every few seconds what has not."""
        self.buffer.release(self.canaries)
        if self._away or self._blind or time.monotonic() - self._last_write >= UNHURRIED_S or self._has_news():
            await self.write()

    def _has_news(self) -> bool:
        return len(self.buffer) >= LARGEST or any(
            reading.outcome is not Outcome.FAULT and reading.outcome is not self._expected.get(reading.key)
            for reading, _ in self.buffer.ready
        )

    async def write(self) -> None:
        """One transaction: what was read, what follows, and the beat. While the database is away, nothing is lost."""
        async with self._writing:
            self.buffer.release(self.canaries)
            blind = list(self._blind)
            items = [] if self._ranges_alone and blind else self.buffer.take(self._largest)
            if not items and not blind and time.monotonic() - self._last_write < IDLE_BEAT_S:
                return
            steps = self.figures.clock_steps
            try:
                judged = await self._write(items, blind)
            except Exception as error:
                self._not_written(items, error)
            except BaseException:
                self.buffer.give_back(items)
                raise
            else:
                self._written(judged, blind, steps=steps)

    async def _write(self, items: Sequence[AddressedReading], blind: Sequence[BlindRange]) -> list[JudgedSite]:
        async with transaction(self.sessions) as session:
            if self._stepped:
                await partitions.create_ahead(session, utc_now())
            if self._set_back is not None:
                at, by = self._set_back
                await writer.follow(session, await propagation.rejudge_after_clock_set_back(session, at, by=by))
            judged = await writer.write_batch(session, items, blind)
            await self._write_beat(session)
        return judged

    def _written(self, judged: Sequence[JudgedSite], blind: Sequence[BlindRange], *, steps: int) -> None:
        del self._blind[: len(blind)]
        self._ranges_alone = False
        if steps == self.figures.clock_steps:  # none came while it was written
            self._stepped, self._set_back = False, None
        self._follow(judged)
        self.figures.writes += 1
        self._last_write, self._largest = time.monotonic(), LARGEST
        if self._away:
            log.info("database_back", buffered=len(self.buffer))
            self._away = False

    def _not_written(self, items: Sequence[AddressedReading], error: Exception) -> None:
        """Back into the buffer; a batch that the database refuses is halved until the one bad reading is found."""
        self.figures.failed_writes += 1
        refused = is_refused(error)
        if refused and not items:
            log.error("blind_ranges_refused", ranges=[str(found) for found in self._blind])
            self._blind.clear()
            self._ranges_alone = False
            return
        if refused and items and self._blind:
            self._ranges_alone = True
            self.buffer.give_back(items)
            return
        if refused and len(items) == 1:
            self.buffer.dropped += 1
            log.error("reading_refused", site=items[0][0].key, slot=items[0][0].slot, error=type(error).__name__)
            return
        self.buffer.give_back(items)
        self._largest = max(1, len(items) // 2) if refused else LARGEST
        if refused or not self._away:
            log.warning("not_written", error=type(error).__name__, buffered=len(self.buffer))
        self._away = not refused

    async def _write_beat(self, session: AsyncSession) -> None:
        blind_since = self.canaries.blind_since
        await writer.write_beat(
            session,
            now=utc_now(),
            started_at=self.started_at,
            blind_since=from_slot(int(blind_since)) if blind_since is not None else None,
            figures=self.counted().as_dict(),
        )

    def counted(self) -> Figures:
        figures = self.figures
        figures.sites = len(self.schedule.plans)
        figures.missed_slots = self.schedule.missed
        figures.buffered_readings, figures.dropped_readings = len(self.buffer), self.buffer.dropped
        figures.buffer_limit_readings = self.buffer.limit
        figures.canary_beats, figures.canary_silences = self.canaries.beats, self.canaries.silent
        figures.canaries = {address: int(answers) for address, answers in self.canaries.answering.items()}
        if (echo := self.prober.echo) is not None:
            for name in ("sent", "received", "duplicates", "late", "foreign", "malformed", "drops", "send_errors"):
                setattr(figures, f"echo_{name}", getattr(echo.counters, name))
            figures.echo_in_flight = echo.in_flight
        return figures

    async def refresh(self) -> None:
        """Takes in what changed in the registry; a site that is new or has moved is looked at at once."""
        first = self._registry_seen < 0
        async with self._writing, transaction(self.sessions) as session:  # both lock carries, then the counter
            version, rows = await writer.list_changed_sites(session, self._registry_seen)
            if not first:
                await writer.judge_reconfigured(session, rows)
        now = int(self.clock.now())
        for row in rows:
            plan, known = writer.plan_of(row, profiles()), self.schedule.plans.get(row.id)
            if plan is None:
                self.schedule.remove(row.id)
            elif plan != known:
                self.schedule.put(plan, now=now, at_once=not first)
        self._follow([writer.standing(row) for row in rows])
        self._registry_seen = version

    def _follow(self, judged: Sequence[JudgedSite]) -> None:
        self.schedule.follow(judged, now=int(self.clock.now()))
        for one in judged:
            good = one.state in {State.UP, State.DEGRADED}
            self._expected[one.site_id] = None if one.pending else Outcome.OK if good else Outcome.TIMEOUT

    async def tidy(self) -> None:
        """Makes partitions ahead, drops those beyond retention (one an hour: a clock that is wrong takes little)."""
        async with transaction(self.sessions) as session:
            await partitions.create_ahead(session, utc_now())
            dropped = await partitions.drop_oldest(session, utc_now(), keep_days=self.settings.raw_retention_days)
            if dropped:
                await bump(session, Counter.ROLLUP)  # what lies between full hours is counted by whole ones from now on
            for kept in (answers, login_throttle, sign_ins, stream_tickets):
                await kept.forget_old(session)
            await diagnoses.delete_old(session)
            await receipts.delete_expired(session)
            await checkpoints.delete_older(session, await rejudgeable_since(session))
        if dropped:
            log.info("partition_dropped", name=dropped)

    async def diagnose(self) -> None:
        await self.diagnoses.take()

    async def count(self) -> None:
        await rollup_job.count(self.sessions)

    async def heartbeat(self) -> None:
        """Tells an outside watcher that rounds run and are written: the dead man's switch."""
        if self.settings.heartbeat_url is None or time.monotonic() - self._last_write > 60:
            return
        try:
            async with httpx.AsyncClient(timeout=10) as client:
                (await client.get(self.settings.heartbeat_url)).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("heartbeat_unheard", error=type(error).__name__)

    def check_clock(self) -> bool:
        """Whether the wall clock was stepped: then the stretch is blind, and the slot clock starts anew from it."""
        step = self.clock.step_s()
        if abs(step) <= STEP_TOLERANCE_S:
            return False
        before = int(self.clock.now())
        self.clock.reanchor()
        after = int(self.clock.now())
        start, end = sorted((before, after))
        self._blind.append(BlindRange(from_slot(start), from_slot(end + 1), "clock"))
        self.figures.clock_steps += 1
        self._stepped = True
        if after < before:
            self.figures.repeated_slots += before - after
            self.canaries.step_back(float(after))
            self.buffer.give_up_held()
            by = timedelta(seconds=before - after) + (self._set_back[1] if self._set_back else timedelta())
            self._set_back = from_slot(after), by
        self.schedule.restart(after)
        log.warning("clock_stepped", seconds=round(step, 1))
        return True

    async def measure_speed(self) -> None:
        await self.speed.tick()

    async def finish(self) -> None:
        """Waits for the looks under way and writes them: nothing that was read is lost at an orderly end."""
        await self.diagnoses.stop()
        await self.speed.finish()
        if self._looks:
            await asyncio.wait(self._looks, timeout=LAST_LOOKS_S)
        await self.intake.own.close()
        await self.beat_canaries()
        if self.canaries.blind_since is not None:
            self._blind.append(canary.blind_range(self.canaries.blind_since, self.clock.now()))
        self.buffer.release(self.canaries)
        self.buffer.give_up_held()
        written = -1
        while (len(self.buffer) or self._blind) and written != self.figures.writes:
            written = self.figures.writes
            await self.write()
