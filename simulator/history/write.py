"""`sinyal demo --history 90d`: write a past for newly registered sites, through judge, segments and rollups.

Segments, readings and hours are written in one transaction, so the past exists whole or not at all.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.clock import WITA, from_slot, to_slot, utc_now
from app.incidents.reconcile import reconcile_incidents
from app.judging import blind_ranges, judge_state_store
from app.judging.dirty_range import DirtyRange
from app.judging.fold import FoldResult
from app.measurements.simulated_past import SimulatedRange, simulated_until
from app.postgres.engine import Sessions, open_sessions, transaction
from app.probing.probe_plan import ProbePlan
from app.worker import writer as worker
from probes.contract import CENTRAL, Reading
from simulator.history import offices, store
from simulator.history.contract_store import write_contracts
from simulator.history.contracts import PlannedContracts
from simulator.history.counts import count_availability, roll_up_latency
from simulator.history.offices import PastOutage
from simulator.history.plan import DAY, BlindDraw, EpisodeDraw, HistoryPlan, plan_history
from simulator.history.samples import HOUR_S
from simulator.history.scenarios import HistorySite, draw_blind_ranges, draw_episodes
from simulator.history.site_history import SiteHistory
from simulator.script import LinkBehaviour

CHUNK = 50  # sites whose readings are held in memory at once
CAUGHT_UP_S = 5
BATCH_S = 300

Say = Callable[[str], None]
NO_SCRIPT: Mapping[str, LinkBehaviour] = MappingProxyType({})


async def write_history(
    engine: AsyncEngine,
    *,
    days: int,
    seed: int = 1,
    raw_hours: int = 24,
    interval_s: int | None = None,
    scripted: Mapping[str, LinkBehaviour] = NO_SCRIPT,
    say: Say = print,
    draw: EpisodeDraw = draw_episodes,
    draw_blind: BlindDraw = draw_blind_ranges,
) -> bool:
    """Write a past of so many days for every active site; return False where there is one already. Raises HistoryError.

    No worker may run, and `engine` must have no command timeout.
    1. Plan: sites, intervals, and what happens to each site.
    2. In one transaction: simulate and judge each site, write readings, segments, hours, statuses and incidents.
    3. In the same one: put the sites under contracts, and write what offices did about the outages.
    4. Roll up latency and count availability by the product's own jobs; a few causes become known only then.
    5. Write the readings of the time that all this took, as the worker would.
    """
    sessions = open_sessions(engine)
    began, cpu_s = time.perf_counter(), time.process_time()
    async with transaction(sessions) as session:
        until = await simulated_until(session)
        if until is not None:
            say(f"history: exists already, up to {until:%Y-%m-%d %H:%M} UTC; nothing written")
            return False
        plan = await plan_history(
            session,
            days=days,
            seed=seed,
            raw_hours=raw_hours,
            interval_s=interval_s,
            scripted=scripted,
            draw=draw,
            draw_blind=draw_blind,
        )
        await _write(session, plan, say)
        late = await _write_arguments(session, plan)
    await asyncio.gather(roll_up_latency(sessions, plan), count_availability(sessions, plan, days, say))
    async with transaction(sessions) as session:
        await offices.write_late_causes(session, late)
    await count_availability(sessions, plan, days, say)
    await _catch_up(sessions, plan)
    say(
        f"history: {days} days of {len(plan.sites)} sites in {time.perf_counter() - began:.0f} s "
        f"({time.process_time() - cpu_s:.0f} s of CPU, without the database's)"
    )
    return True


async def _write(session: AsyncSession, plan: HistoryPlan, say: Say) -> None:
    start, readings_from = from_slot(plan.start), from_slot(plan.readings_from)
    first_sample_hour, end_hour = (plan.start - 24 * HOUR_S) // HOUR_S, (plan.end + 1) // HOUR_S
    await store.make_partitions(session, start, from_slot(plan.end))
    await store.backdate_sites(session, [site.id for site in plan.sites], start)
    await blind_ranges.record(session, plan.blind_ranges, source=CENTRAL)
    await store.write_samples(session, list(plan.samples.values()), first_sample_hour)
    await _simulate_sites(session, plan, say)
    await store.insert_segments(session, plan.segments)
    await store.roll_up_hours(session, plan.sites_by_hour, end_hour)
    await store.insert_skipped_readings(session, first_sample_hour, _packed_until(plan))
    say("history: hours rolled up")
    await _write_states(session, plan)
    await _open_incidents(session, plan)
    await store.drop_readings_before(session, readings_from)
    moments = {"start": start, "readings_from": readings_from, "hours": from_slot(end_hour * HOUR_S)}
    await session.execute(store.SET_WATERMARKS, moments)
    await session.execute(
        insert(SimulatedRange).values(
            started_at=start, ended_at=from_slot(plan.end), readings_from=readings_from, seed=plan.seed
        )
    )


async def _write_arguments(session: AsyncSession, plan: HistoryPlan) -> list[PastOutage]:
    """Write contracts and what offices did; return the outages of which the cause becomes known late."""
    first, today = (from_slot(slot).astimezone(WITA).date() for slot in (plan.start, plan.end))
    last_month = (today.replace(day=1) - DAY).replace(day=1)
    await write_contracts(session, PlannedContracts(first, last_month))
    return await offices.write_actions(session, seed=plan.seed, month=last_month)


async def _simulate_sites(session: AsyncSession, plan: HistoryPlan, say: Say) -> None:
    """Simulate a chunk of sites in a thread while the previous chunk is being written."""
    writing: asyncio.Task[None] | None = None
    gc.disable()  # millions of small objects, none of them in a cycle
    try:
        for wave in _parents_first(plan.sites):
            for first in range(0, len(wave), CHUNK):
                chunk = wave[first : first + CHUNK]
                histories = await asyncio.to_thread(lambda sites: [plan.simulate(site) for site in sites], chunk)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(_insert_histories(session, histories, plan))
                say(f"history: {len(plan.segments)} of {len(plan.sites)} sites simulated")
        if writing is not None:
            await writing
    finally:
        gc.enable()
        if writing is not None:
            writing.cancel()


async def _insert_histories(session: AsyncSession, histories: Sequence[SiteHistory], plan: HistoryPlan) -> None:
    await store.insert_readings(session, histories)
    await store.insert_skipped(session, histories)
    await store.pack_skipped(session, histories, plan.readings_from // HOUR_S, _packed_until(plan))
    await store.insert_checkpoints(
        session, ((history.samples.site_id, at, state) for history in histories for at, state in history.checkpoints)
    )


def _packed_until(plan: HistoryPlan) -> int:
    """Return the hour (since 1970) from which on readings are rows, as they would be had the worker packed them."""
    return max(plan.readings_from, plan.end - 2 * HOUR_S) // HOUR_S


def _parents_first(sites: Sequence[HistorySite]) -> list[list[HistorySite]]:
    """Group the sites into waves, each of which depends on earlier ones only."""
    left, waves = {site.id: site for site in sites}, []
    while left:
        wave = [site for site in left.values() if site.parent_id not in left] or list(left.values())
        waves.append(wave)
        for site in wave:
            del left[site.id]
    return waves


async def _write_states(session: AsyncSession, plan: HistoryPlan) -> None:
    rows = await judge_state_store.lock_sites(session, list(plan.final_states))
    folded = [(rows[site_id], FoldResult(state, last=last)) for site_id, (state, last) in plan.final_states.items()]
    await judge_state_store.write_states(session, folded)


async def _open_incidents(session: AsyncSession, plan: HistoryPlan) -> None:
    """Open and close incidents day by day, while the readings that they refer to are still there."""
    for low, high in _days(plan):
        rows = (await session.execute(store.OUTAGES, {"low": low, "high": high})).all()
        await reconcile_incidents(
            session, [DirtyRange(row.site_id, row.started_at, row.started_at) for row in rows], now=from_slot(plan.end)
        )
        session.expunge_all()
    for statement in store.BACKDATE_INCIDENTS:
        await session.execute(text(statement))


def _days(plan: HistoryPlan) -> list[tuple[datetime, datetime]]:
    starts = range(plan.start, plan.end, 24 * HOUR_S)
    return [(from_slot(low), from_slot(low) + DAY) for low in starts]


async def _catch_up(sessions: Sessions, plan: HistoryPlan) -> None:
    """Write what passed meanwhile through the worker's own write path, so that it continues without a gap."""
    end = plan.end
    while (now := to_slot(utc_now())) - end > CAUGHT_UP_S:
        for low in range(end, now, BATCH_S):
            items = [
                (_healthy_reading(plan, site.id, slot), from_slot(plan.start))
                for site in plan.sites
                for slot in _slots(plan.schedules[site.id], low, min(low + BATCH_S, now))
            ]
            async with transaction(sessions) as session:
                await worker.write_batch(session, items, [])
        end = now
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE simulation SET ended_at = :at"), {"at": from_slot(end)})


def _slots(schedule: ProbePlan, after: int, last: int) -> range:
    return range(schedule.next_regular(after), last + 1, schedule.interval_s)


def _healthy_reading(plan: HistoryPlan, site_id: int, slot: int) -> Reading:
    samples = plan.samples[site_id]
    return samples.reading(slot, samples.rtts(slot))
