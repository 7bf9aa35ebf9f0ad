"""Transactions that judge: the carry of steady sites is in memory, and every one of them keeps it in step."""

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import to_slot
from app.judging import carry_store, dated_profiles, ingest, mass_outage, propagation, shard_trees
from app.judging.carry import newest_thresholds
from app.judging.carry_table import CarryChanges, CarryTable
from app.judging.dirty_range import DirtyRange
from app.judging.judge_state_store import UNWRITTEN
from app.judging.shards import SEAT, ShardsBusy, ShardSeat
from app.judging.site_rejudgement import FAR_FUTURE
from app.judging.vantage_waits import JUDGED, WAITS, VantageWaits, list_former
from app.postgres.engine import Sessions, transaction
from app.worker.recount import recount
from app.worker.rejection import is_entrys_fault, write_in_parts

log = structlog.get_logger()

FRESH_SHARE = 0.25  # of the shortest interval: evidence is not written later than that, so that it is never stale


@dataclass
class JudgingSessions:
    """Opens the transactions of one leadership; one at a time, under the write lock.

    After a commit that failed, or may have, the table is loaded anew by whoever comes next: a reading is judged twice
    rather than not at all.
    """

    sessions: Sessions
    refresh_s: float = 0.0  # what steady sites come to is written so often at most
    seat: ShardSeat | None = None  # None: one shard, of all sites
    table: CarryTable = field(default_factory=CarryTable)
    waits: VantageWaits = field(default_factory=VantageWaits)
    is_loaded: bool = False
    _written_at: float = float("-inf")  # by the monotonic clock
    every_s: float = float("inf")  # how often steady sites are written; evidence must not wait longer for that either

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[tuple[AsyncSession, CarryChanges]]:
        """What it does to the table takes effect once it is committed."""
        if not self.is_loaded:
            await self._load()
        async with self._changes() as opened:
            yield opened

    @asynccontextmanager
    async def _changes(self) -> AsyncIterator[tuple[AsyncSession, CarryChanges]]:
        changes, may_be_committed = CarryChanges(self.table), False
        try:
            async with transaction(self.sessions) as session:
                session.info.update({UNWRITTEN: changes, SEAT: self.seat, WAITS: self.waits})
                yield session, changes
                may_be_committed = True
            changes.apply()
            self.waits.forget(session.info.get(JUDGED, {}))
            if self.seat is not None:
                self.seat.remove(changes.given_away)
                self.waits.forget(dict.fromkeys(changes.given_away, to_slot(FAR_FUTURE)))
        except BaseException as error:
            is_rolled_back = isinstance(error, ShardsBusy) or (isinstance(error, Exception) and is_entrys_fault(error))
            if may_be_committed or not is_rolled_back:  # for certain
                self.is_loaded = False
            raise

    async def write_moved(self, *, at_once: bool = False) -> None:
        """Write what steady sites have come to, unless that was done lately."""
        is_due = at_once or time.monotonic() - self._written_at >= self.every_s
        if not (is_due and self.is_loaded and len(moved := self.table.moved_rows())):
            return
        shortest_s = float(self.table.carry_of(moved)["valid_s"].min())
        async with self.transaction() as (session, changes):
            await changes.write(session)
        self._written_at, self.every_s = time.monotonic(), min(self.refresh_s, FRESH_SHARE * shortest_s)

    async def _load(self) -> None:
        """Read the carry of all steady sites, and judge what was stored and not judged before the last end."""
        self.table.clear()
        self.waits.clear()
        async with self.sessions() as session:  # only reads
            self.table.thresholds = newest_thresholds(await dated_profiles.load(session))
            self.table.held = set(await mass_outage.list_held_sites(session))
            if self.seat is not None:
                self.seat.clear()
                self.seat.add(await shard_trees.list_sites(session, self.seat.shard))
        caught_up = await self._load_pages()
        self.is_loaded = True
        if caught_up:
            log.info("readings_caught_up", readings=caught_up, sites=len(self.table))

    async def take_over(self, site_ids: Collection[int]) -> None:
        """Judge these sites from now on, as another holder gave them away. Those that are here already stay."""
        if not self.is_loaded:
            await self._load()
        assert self.seat is not None
        async with self.sessions() as session:  # only reads
            present = await shard_trees.list_sites(session, self.seat.shard, among=site_ids)
        ids = np.array(present, np.int32)
        new = ids[~self.seat.owns(ids)].tolist()
        self.is_loaded = False  # until it is done
        self.seat.add(new)
        await self._load_pages(new)
        self.is_loaded = True

    async def _load_pages(self, site_ids: Collection[int] | None = None) -> int:
        """Return how many readings were caught up. `site_ids`: of these alone."""
        after, caught_up, shard = 0, 0, None if self.seat is None else self.seat.shard
        async with self.sessions() as session:  # only reads
            await self.waits.load(session, shard=shard, site_ids=site_ids)
            former = await list_former(session, shard=shard, site_ids=site_ids)
        await self._judge_former(former)
        while True:
            async with self.sessions() as session:  # only reads
                page = await carry_store.load_page(session, after, shard=shard, site_ids=site_ids)
            if page is None:
                return caught_up
            self.table.put(page.carry)
            if page.unjudged:
                async with self._changes() as (session, _):
                    result = await ingest.judge_stored(session, page.unjudged)
                    await recount(session, result.dirty_ranges)
                caught_up += len(page.unjudged)
            after = page.last_id

    async def _judge_former(self, ranges: Sequence[DirtyRange]) -> None:
        """Judge anew up to the present the sites at which several vantages looked until lately."""

        async def write(part: Sequence[DirtyRange]) -> None:
            async with self._changes() as (session, _):
                await recount(session, await propagation.rejudge_reconfigured(session, part))

        async def reject(part: Sequence[DirtyRange], error: Exception) -> None:
            log.error("looks_not_judged", site=part[0].site_id, error=repr(error), exc_info=error)

        parts = [ranges] if ranges else []
        while parts:
            await write_in_parts(parts, write, reject)
