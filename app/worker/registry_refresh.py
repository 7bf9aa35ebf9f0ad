"""The job that follows the registry: changed sites get a new plan, and are judged again by their new configuration."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.judging import propagation, shard_trees
from app.judging.dirty_range import DirtyRange
from app.judging.ingest import JudgedSite
from app.measurements import store as measurements
from app.postgres.engine import transaction
from app.postgres.work_signals import Work, WorkSignals
from app.probing.probe_plan import ProbePlan
from app.profiles import Profile, Technology, profiles
from app.registry.models import SiteKind, State
from app.worker.context import WorkerContext
from app.worker.jobs import Job
from app.worker.judging_session import JudgingSessions
from app.worker.recount import recount
from app.worker.rejection import write_in_parts
from probes.contract import VANTAGES, ProbeKind, Target

log = structlog.get_logger()

EVERY_S = 3
PLANNED_AT_ONCE = 2_000

COLUMNS = """
    SELECT s.id, s.host, s.probe, s.port, s.url, s.technology, s.lifecycle, s.addressed_at, s.version,
        s.parent_id, s.kind, st.state, st.since, st.seen_at, st.pending_at,
        st.addressed_at AS judged_address_at, st.shard, c.started_at AS setup_at, {is_reconfigured} AS is_reconfigured,
        0 = ANY(s.vantages) AND a.prober_id IS NULL AS is_probed_here, cardinality(s.vantages) > 1 AS has_vantages
    FROM site s JOIN site_status st ON st.site_id = s.id
        JOIN site_configuration c ON c.site_id = s.id AND c.ended_at IS NULL
        LEFT JOIN assignment a ON a.site_id = s.id AND a.vantage = 0
"""
SITES = text(f"""
    {COLUMNS.format(is_reconfigured="c.version > :seen")} WHERE s.id IN (
        SELECT id FROM site WHERE version > :seen UNION
        SELECT site_id FROM assignment WHERE version > :seen AND vantage = 0
    )
""")

SITES_OF_SHARD = text(f"{SITES.text} AND st.shard = :shard")
# Of sites that another shard gave away: a change may be known to neither the one nor the other.
TAKEN = text(f"""
    {COLUMNS.format(is_reconfigured="c.started_at > now() - interval '1 hour'")} WHERE s.id = ANY(cast(:ids AS int[]))
""")


class RegistryFollower(ABC):
    """Judges again by their new configuration the sites whose readings are judged here."""

    def __init__(self, judging: JudgingSessions, signals: WorkSignals, write_lock: asyncio.Lock) -> None:
        self.judging, self.signals, self.write_lock = judging, signals, write_lock
        self.version = -1  # of the registry, as it was read last

    @abstractmethod
    def address_since(self, site_id: int) -> datetime | None:
        """Return since when the site had its address, as it was known here until now; None: it was not."""

    @abstractmethod
    async def follow(self, rows: Sequence[Any]) -> None:
        """Take over what was read, once it is judged."""

    def jobs(self) -> list[Job]:
        return [Job("registry_refresh", EVERY_S, self.refresh_signalled)]

    async def refresh_signalled(self) -> None:
        """Raises what `refresh` raises; it is tried again then."""
        if self.signals.take(Work.REGISTRY):
            try:
                await self.refresh()
            except Exception:
                self.signals.signal(Work.REGISTRY)
                raise

    async def refresh(self) -> None:
        """Rejudge the sites changed in the registry, and give away those whose tree is judged elsewhere by now.

        What was read of a former address since it was changed is a fault of ours: whoever recorded it did not know.
        """
        async with self.write_lock:
            async with self.judging.sessions() as session:  # only reads: there is nothing to commit
                version, rows = await list_changed_sites(session, self.version, shard=self.shard_at_first())
            await self._judge_changed(self._own(rows), is_first=self.version < 0)
            await self._give_away(rows)
        await self.follow(rows)
        self.version = version

    def shard_at_first(self) -> int | None:
        """Return the shard whose sites are enough at the first refresh, which reads all there are; None: all."""
        return None

    async def judge_taken(self, site_ids: Sequence[int]) -> None:
        """Judge by what changed lately the sites that were taken over. Under the write lock."""
        async with self.judging.sessions() as session:  # only reads
            rows = (await session.execute(TAKEN, {"ids": site_ids})).all()
        await self._judge_changed(self._own(rows), is_first=False)
        await self._give_away(rows)

    def _own(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Return those of the sites that are judged here."""
        seat = self.judging.seat
        return rows if seat is None else [row for row in rows if row.shard == seat.shard]

    async def _judge_changed(self, rows: Sequence[Any], *, is_first: bool) -> None:
        table = self.judging.table
        moved = [row for row in rows if self._is_moved(row)]
        table.doubt({row.id for row in moved} | {row.id for row in rows if row.is_reconfigured})
        await self._fault_moved(moved)
        seen = {row.id: table.seen_at(row.id) or row.seen_at for row in rows}
        await self._judge(_moved_ranges(moved, seen) + ([] if is_first else _reconfigured_ranges(rows, seen)))

    async def _give_away(self, rows: Sequence[Any]) -> None:
        """At first all are looked at, as their number is that of all."""
        seat = self.judging.seat
        if seat is not None and rows:
            async with self.judging.transaction() as (session, _):
                await shard_trees.give_away(session, seat, [row.id for row in rows])

    def _is_moved(self, row: Any) -> bool:
        """Whether readings of a former address may be stored as those of the present one.

        At a worker's start only what was judged last tells that its predecessor did not know of the change.
        """
        since = self.address_since(row.id)
        is_replaced = since is not None and since != row.addressed_at
        return is_replaced or bool(row.judged_address_at != row.addressed_at)

    async def _fault_moved(self, rows: Sequence[Any]) -> None:
        if rows:
            since = {row.id: row.addressed_at for row in rows}
            async with transaction(self.judging.sessions) as session:
                await measurements.make_faults(session, since, sources=VANTAGES, reason="moved")

    async def _judge(self, ranges: Sequence[DirtyRange]) -> None:
        async def write(part: Sequence[DirtyRange]) -> None:
            async with self.judging.transaction() as (session, _):
                await recount(session, await propagation.rejudge_reconfigured(session, part))

        async def reject(part: Sequence[DirtyRange], error: Exception) -> None:
            log.error("reconfiguration_rejected", site=part[0].site_id, error=repr(error), exc_info=error)

        parts = [ranges] if ranges else []
        while parts:
            await write_in_parts(parts, write, reject)


class RegistryRefresh(RegistryFollower):
    """The leading worker's: it plans as well what is probed from here."""

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(context.judging, context.signals, context.write_lock)
        self.context = context

    def address_since(self, site_id: int) -> datetime | None:
        plan = self.context.schedule.plans.get(site_id)
        return None if plan is None else plan.addressed_at

    async def follow(self, rows: Sequence[Any]) -> None:
        """Replan the sites; one that is new or was moved is probed at once."""
        is_first = self.version < 0
        for first in range(0, len(rows), PLANNED_AT_ONCE):
            self._plan(rows[first : first + PLANNED_AT_ONCE], at_once=not is_first)
            await asyncio.sleep(0)  # others go on in between

    def _plan(self, rows: Sequence[Any], *, at_once: bool) -> None:
        schedule, plans = self.context.schedule, {row.id: plan_of(row, profiles()) for row in rows}
        for site_id, plan in plans.items():
            if plan is None:
                schedule.remove(site_id)
        for row in rows:
            if row.has_vantages and plans[row.id] is not None:
                self.context.own_looks.put(row.id, row.parent_id)
            else:
                self.context.own_looks.remove(row.id)
        changed = [plan for site_id, plan in plans.items() if plan is not None and plan != schedule.plans.get(site_id)]
        schedule.put(*changed, now=self.context.slot, at_once=at_once)
        judged = [JudgedSite(r.id, State(r.state), r.since, r.seen_at, r.pending_at, r.parent_id) for r in rows]
        schedule.follow(judged, now=self.context.slot)


async def list_changed_sites(
    session: AsyncSession, seen: int, *, shard: int | None = None
) -> tuple[int, Sequence[Any]]:
    """Return the registry's version, and the sites changed, or given to another prober, since version `seen`.

    The version is read first: a change between the two reads is read twice, and none is lost.
    """
    version = await session.scalar(text("SELECT version FROM change_counter WHERE name = 'registry'"))
    if version == seen:
        return seen, []
    if shard is not None:
        return int(version or 0), (await session.execute(SITES_OF_SHARD, {"seen": seen, "shard": shard})).all()
    return int(version or 0), (await session.execute(SITES, {"seen": seen})).all()


def _moved_ranges(rows: Sequence[Any], seen: Mapping[int, datetime | None]) -> list[DirtyRange]:
    """`seen`: the slot of the last reading judged, by site."""
    return [DirtyRange(r.id, r.addressed_at, at) for r in rows if (at := seen[r.id]) and at >= r.addressed_at]


def _reconfigured_ranges(rows: Sequence[Any], seen: Mapping[int, datetime | None]) -> list[DirtyRange]:
    """What was judged by a former configuration: of the sites themselves, and of those behind a node until now."""
    rows = [row for row in rows if row.is_reconfigured]  # of any other change, like a new name, judging knows nothing
    ranges = [DirtyRange(r.id, r.setup_at, at) for r in rows if (at := seen[r.id]) and at >= r.setup_at]
    return ranges + [DirtyRange(r.id, r.setup_at, utc_now()) for r in rows if r.kind == SiteKind.NODE]


def plan_of(row: Any, profiles: Mapping[Technology, Profile]) -> ProbePlan | None:
    """Return how a site is probed from here; None when it is not in service, pushes itself, or others look at it."""
    if row.lifecycle != "active" or row.probe == ProbeKind.PUSH or row.host is None or not row.is_probed_here:
        return None
    profile = profiles[Technology(row.technology)]
    target = Target(
        row.id,
        0,
        ProbeKind(row.probe),
        row.host,
        row.port,
        row.url,
        timeout_s=profile.timeout_ms / 1000,
        valid_s=profile.interval_s,
    )
    return ProbePlan(target, profile.interval_s, row.addressed_at)
