"""`sinyal demo --history 90d`: a past for sites that have just been registered, through judge, ledger and rollups.

What the ledger comes to is written in one transaction, so it is there whole or not at all. Days, regions and months
are counted after it by the product's own jobs, which would go on with them if this process died.
"""

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.availability.daily_availability import count_days
from app.availability.models import ClosedMonth, CountedDay
from app.availability.monthly_close import close_months
from app.core.clock import WITA, from_slot, midnight, to_slot, utc_now
from app.incidents.reconcile import reconcile_incidents
from app.judging import blind_ranges, judge_state_store
from app.judging import thresholds as limits
from app.judging.blind_ranges import BlindRange, BlindRanges
from app.judging.dirty_range import DirtyRange
from app.judging.fold import JudgeConfiguration, JudgeContext, ParentOutage
from app.judging.judge import JudgeState
from app.judging.segments import Segment
from app.judging.thresholds import DatedThresholds
from app.latency.rollup import roll_up_day, roll_up_region_day, roll_up_region_month, rolled_up_regions
from app.latency.rollup_sql import PLANNER_SETTINGS
from app.measurements.simulated_past import SimulatedRange, simulated_until
from app.postgres.engine import Sessions, open_sessions, transaction
from app.profiles import Technology, profiles
from app.registry.models import State, UnknownReason
from app.worker import writer as worker
from app.worker.schedule import Plan
from probes.contract import CENTRAL, ProbeKind, Reading, Target
from simulator.history import store
from simulator.history.length import HistoryError
from simulator.history.samples import HOUR_S, Air, air_of
from simulator.history.scenarios import Spells, Subject, blind, draw
from simulator.history.site_history import Life, outs
from simulator.script import Behaviour

CHUNK = 50  # sites whose readings are held at once
DAY = timedelta(days=1)
CAUGHT_UP_S = 5
DAYS_A_STEP = 10

Say = Callable[[str], None]
NO_SCRIPT: Mapping[str, Behaviour] = MappingProxyType({})


@dataclass
class Past:
    """What is being written: from `start` (a WITA midnight) to `end`, slots."""

    seed: int
    start: int
    end: int
    readings_from: int
    subjects: Sequence[Subject]
    spells: Spells
    blind: Sequence[BlindRange]
    limits: DatedThresholds
    interval_s: Mapping[Technology, int]
    scripted: Mapping[str, Behaviour]
    airs: dict[int, Air] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    segments: dict[int, list[Segment]] = field(default_factory=dict)
    carried: dict[int, tuple[JudgeState, Reading | None]] = field(default_factory=dict)
    told: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # sites by hour
    outs: dict[int, list[ParentOutage]] = field(default_factory=dict)

    def prepare(self) -> None:
        for one in self.subjects:
            technology = Technology(one.technology)
            profile, every = profiles()[technology], self.interval_s[technology]
            target = Target(one.id, 0, ProbeKind.ICMP, one.host, timeout_s=profile.timeout_ms / 1000, valid_s=every)
            plan = self.plans[one.id] = Plan(target, every, from_slot(self.start))
            self.airs[one.id] = air_of(
                self.seed,
                one.id,
                one.host,
                one.technology,
                self.limits.at(technology, from_slot(self.start)),
                interval_s=every,
                phase=plan.phase,
                scripted=self.scripted,
                source=one.source,
            )

    def live(self, subject: Subject) -> Life:
        technology, start = Technology(subject.technology), from_slot(self.start)
        blind = self.blind if subject.source == CENTRAL else []  # an agent goes on measuring, and tells it afterwards
        about = JudgeContext(
            [JudgeConfiguration(start, start, technology, subject.parent_id)],
            self.limits,
            {subject.source: BlindRanges(blind)},
            {subject.parent_id: self.outs.get(subject.parent_id, [])} if subject.parent_id is not None else {},
        )
        unseen = JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, start, self.interval_s[technology], start)
        life = Life(
            self.plans[subject.id],
            self.airs[subject.id],
            about,
            self.limits.at(technology, start),
            self.spells.get(subject.id, []),
            blind,
            unseen,
            self.start,
            self.end,
            self.readings_from,
        )
        life.live()
        self._keep(subject.id, life)
        return life

    def _keep(self, site_id: int, life: Life) -> None:
        self.segments[site_id] = life.segments
        self.carried[site_id] = life.carry, life.last
        self.outs[site_id] = outs(self.segments[site_id])
        for hour in {one.slot // HOUR_S for one in life.readings}:
            self.told[hour].append(site_id)


async def write_history(
    engine: AsyncEngine,
    *,
    days: int,
    seed: int = 1,
    raw_hours: int = 24,
    interval_s: int | None = None,
    scripted: Mapping[str, Behaviour] = NO_SCRIPT,
    say: Say = print,
) -> bool:
    """Gives every active site a past of so many days, up to now. False where there is one already.

    No worker may run. `engine` needs connections without a command timeout. Raises HistoryError.
    """
    sessions = open_sessions(engine)
    began, cpu = time.perf_counter(), time.process_time()
    async with transaction(sessions) as session:
        known = await simulated_until(session)
        if known is not None:
            say(f"history: there is one already, up to {known:%Y-%m-%d %H:%M} UTC; nothing is written")
            return False
        past = await _plan(session, days, seed, raw_hours, interval_s, scripted)
        await _write(session, past, say)
    await asyncio.gather(_count_latency(sessions, past), _count_availability(sessions, past, days, say))
    await _catch_up(sessions, past)
    say(
        f"history: {days} days of {len(past.subjects)} sites in {time.perf_counter() - began:.0f} s "
        f"({time.process_time() - cpu:.0f} s CPU beside the database's)"
    )
    return True


async def _plan(
    session: AsyncSession,
    days: int,
    seed: int,
    raw_hours: int,
    interval_s: int | None,
    scripted: Mapping[str, Behaviour],
) -> Past:
    if await session.scalar(store.HOLDS_ANYTHING):
        raise HistoryError("this database holds measurements already; a history is only written to a new one")
    every = {name: interval_s or profile.interval_s for name, profile in profiles().items()}
    if any(HOUR_S % seconds for seconds in every.values()):
        raise HistoryError("a history needs intervals that divide an hour")
    subjects, now = await store.subjects(session), utc_now()
    start, end = to_slot(midnight(now.astimezone(WITA).date() - days * DAY)), to_slot(now)
    readings_from = max(start, (end // HOUR_S - raw_hours) * HOUR_S)
    past = Past(
        seed,
        start,
        end,
        readings_from,
        subjects,
        draw(seed, subjects, start + 2 * HOUR_S, end),
        blind(seed, start + 2 * HOUR_S, end),
        await limits.load(session),
        every,
        scripted,
    )
    past.prepare()
    return past


async def _write(session: AsyncSession, past: Past, say: Say) -> None:
    start, readings_from = from_slot(past.start), from_slot(past.readings_from)
    base, hours = (past.start - 24 * HOUR_S) // HOUR_S, (past.end + 1) // HOUR_S
    await store.make_partitions(session, start, from_slot(past.end))
    ids = [one.id for one in past.subjects]
    for statement in store.SINCE:
        await session.execute(text(statement), {"start": start, "ids": ids})
    await blind_ranges.record(session, past.blind, source=CENTRAL)
    await store.sample(session, list(past.airs.values()), base)
    await _live(session, past, say)
    await store.keep_segments(session, past.segments)
    await store.roll_up(session, past.told, hours)
    await store.read_passed(session, base, past.readings_from // HOUR_S)
    say("history: hours are rolled up")
    await _set_status(session, past)
    await _follow(session, past)
    await store.drop_before(session, start, readings_from)
    await session.execute(store.UPTO, {"start": start, "hours": from_slot(hours * HOUR_S)})
    await session.execute(
        insert(SimulatedRange).values(
            started_at=start, ended_at=from_slot(past.end), readings_from=readings_from, seed=past.seed
        )
    )


async def _live(session: AsyncSession, past: Past, say: Say) -> None:
    """While some sites' readings are written, the next ones live."""
    keeping: asyncio.Task[None] | None = None
    gc.disable()  # millions of small things, none of them in a cycle
    try:
        for wave in _parents_first(past.subjects):
            for first in range(0, len(wave), CHUNK):
                lives = await asyncio.to_thread(lambda chunk: [past.live(one) for one in chunk], wave[first:][:CHUNK])
                if keeping is not None:
                    await keeping
                keeping = asyncio.create_task(_keep(session, lives))
                say(f"history: {len(past.segments)} of {len(past.subjects)} sites lived through")
        if keeping is not None:
            await keeping
    finally:
        gc.enable()
        if keeping is not None:
            keeping.cancel()


async def _keep(session: AsyncSession, lives: Sequence[Life]) -> None:
    await store.keep_readings(session, lives)
    await store.keep_passed(session, lives)
    await store.keep_checkpoints(
        session, ((one.air.site_id, at, carry) for one in lives for at, carry in one.checkpoints)
    )


def _parents_first(subjects: Sequence[Subject]) -> list[list[Subject]]:
    left, waves = {one.id: one for one in subjects}, []
    while left:
        wave = [one for one in left.values() if one.parent_id not in left] or list(left.values())
        waves.append(wave)
        for one in wave:
            del left[one.id]
    return waves


async def _set_status(session: AsyncSession, past: Past) -> None:
    rows = await judge_state_store.lock_sites(session, list(past.carried))
    await judge_state_store.write_states(session, [(rows[n], carry, last) for n, (carry, last) in past.carried.items()])


async def _follow(session: AsyncSession, past: Past) -> None:
    """Incidents, day by day, as they would have been opened: while their readings are still there."""
    for low, high in _days(past):
        rows = (await session.execute(store.OUTAGES, {"low": low, "high": high})).all()
        await reconcile_incidents(
            session, [DirtyRange(row.site_id, row.started_at, row.started_at) for row in rows], now=from_slot(past.end)
        )
        session.expunge_all()
    for statement in store.OPENED:
        await session.execute(text(statement))


def _days(past: Past) -> list[tuple[datetime, datetime]]:
    starts = range(past.start, past.end, 24 * HOUR_S)
    return [(from_slot(low), from_slot(low) + DAY) for low in starts]


async def _count_latency(sessions: Sessions, past: Past) -> None:
    """Days, regions and months, as `rollup.roll_up` would count them."""
    ids = [one.id for one in past.subjects]
    today = from_slot(past.end).astimezone(WITA).date()
    day = from_slot(past.start).astimezone(WITA).date()
    while day < today:
        async with transaction(sessions) as session:
            await session.execute(PLANNER_SETTINGS)
            await roll_up_day(session, day, ids)
            await roll_up_region_day(session, day, rolled_up_regions())
            if (day + DAY).day == 1:
                await roll_up_region_month(session, day.replace(day=1), rolled_up_regions())
            await session.execute(
                text("UPDATE rollup_watermark SET upto = :upto WHERE stage = 'days'"), {"upto": midnight(day + DAY)}
            )
        day += DAY


async def _count_availability(sessions: Sessions, past: Past, days: int, say: Say) -> None:
    """Marks that come back, of outages that still run, are left to the worker."""
    counted = -1
    while counted != (counted := await _count_days(sessions, past)):
        say(f"history: {counted} of {days} days counted")
    closed = -1
    while closed != (closed := await _close(sessions, past)):
        pass


async def _count_days(sessions: Sessions, past: Past) -> int:
    async with transaction(sessions) as session:
        await count_days(session, from_slot(past.end), days=DAYS_A_STEP)
        return await session.scalar(select(func.count()).select_from(CountedDay)) or 0


async def _close(sessions: Sessions, past: Past) -> int:
    async with transaction(sessions) as session:
        await close_months(session, from_slot(past.end))
        return await session.scalar(select(func.count()).select_from(ClosedMonth)) or 0


async def _catch_up(sessions: Sessions, past: Past) -> None:
    """What passed meanwhile comes in through the worker's own door, so that it goes on from here without a seam."""
    upto = past.end
    while (now := to_slot(utc_now())) - upto > CAUGHT_UP_S:
        for low in range(upto, now, 300):
            items = [
                (_answer(past, one.id, slot), from_slot(past.start))
                for one in past.subjects
                for slot in _slots(past.plans[one.id], low, min(low + 300, now))
            ]
            async with transaction(sessions) as session:
                await worker.write_batch(session, items, [])
        upto = now
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE simulation SET ended_at = :at"), {"at": from_slot(upto)})


def _slots(plan: Plan, after: int, upto: int) -> range:
    return range(plan.next_regular(after), upto + 1, plan.interval_s)


def _answer(past: Past, site_id: int, slot: int) -> Reading:
    air = past.airs[site_id]
    return air.reading(slot, air.rtts(slot))
