"""The job that shares sites among probers: when the registry or a prober changes, or a lease runs out.

While only the built-in prober runs, the database is asked after a change of the registry alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import structlog

from app.postgres.engine import transaction
from app.postgres.work_signals import Work
from app.vantages import assignment_store
from app.vantages.assigning import NOBODY, Ids, assign
from app.vantages.live_probers import OwnSilence, ProberState, live_by_vantage, next_change_s
from app.worker.context import WorkerContext
from app.worker.jobs import Job

log = structlog.get_logger()

EVERY_S = 2
REST = 10  # times as long as the last run took: at most a tenth of the time is spent on assigning
NEVER = float("inf")


@dataclass
class ProberAssignment:
    """Moments are of the monotonic clock."""

    context: WorkerContext
    clock: Callable[[], float] = time.monotonic
    _own_silence: OwnSilence = field(default_factory=OwnSilence)
    _look_at: float = NEVER  # when a prober may have lost its sites without anybody's doing
    _rests_until: float = 0.0
    _others: list[ProberState] = field(default_factory=list)  # than the built-in prober, as read last
    _could_see: bool = True  # the built-in one
    _sharing: tuple[dict[int, list[int]], list[int], list[int]] | None = None  # who is live, and who keeps, by now

    def jobs(self) -> list[Job]:
        return [Job("assignment", EVERY_S, self.assign_due, may_overrun=True)]

    async def assign_due(self) -> None:
        """Raises what `assign` raises; it is tried again then."""
        now, signals = self.clock(), self.context.signals
        if now < self._rests_until:
            return
        is_signalled = signals.take(Work.ASSIGNMENT, sweep_s=NEVER)
        if not (is_signalled or now >= self._look_at or self._built_in_changed()):
            return
        try:
            await self.assign(anew=is_signalled)
        except Exception:
            signals.signal(Work.ASSIGNMENT)
            raise
        self._rests_until = self.clock() + REST * (self.clock() - now)

    async def assign(self, *, anew: bool = True) -> None:
        """Give each vantage's sites to its live probers; where none is live, they stay with whom they have.

        `anew`: look at the sites even if the probers are as they were last time.
        """
        async with self.context.sessions() as session:  # only reads
            self._others = await assignment_store.list_probers(session)
            vantages = await assignment_store.list_shared_vantages(session)
        built_in, doubtful_s = self._built_in(), self._own_silence.lasts_s(self._others, self.clock())
        self._look_at = self.clock() + min(next_change_s(self._others), doubtful_s or NEVER)
        self._could_see = built_in.can_see
        live = live_by_vantage([built_in, *self._others])
        kept = [prober.id for prober in self._others if doubtful_s and not prober.has_lease]
        sharing = live, kept, vantages
        if anew or sharing != self._sharing:
            self._count(
                {vantage: await self._assign_vantage(vantage, live.get(vantage, []), kept) for vantage in vantages}
            )
            self._sharing = sharing

    async def _assign_vantage(self, vantage: int, live: list[int], kept: list[int]) -> dict[int, int]:
        """Return how many sites each of its probers has now. Those of `kept` stay, whoever is live."""
        async with self.context.sessions() as session:  # only reads
            sites, holders = await assignment_store.load_holders(session, vantage)
        known = [prober.id for prober in self._others if prober.vantage == vantage]
        assigned = np.where(np.isin(holders, known), holders, NOBODY)
        open_rows = ~np.isin(assigned, kept)
        assigned[open_rows] = assign(sites[open_rows], assigned[open_rows], live)
        moved = assigned != holders
        for some, probers in assignment_store.parts(sites[moved], assigned[moved]):
            async with transaction(self.context.sessions) as session:
                await assignment_store.save(session, vantage, some, probers)
        counts = _counts(assigned)
        if moved.any():
            log.info("sites_assigned", vantage=vantage, moved=int(moved.sum()), probers=counts)
        return counts

    def _count(self, by_vantage: dict[int, dict[int, int]]) -> None:
        counters = self.context.counters
        counters.vantage_sites = {str(vantage): sum(counts.values()) for vantage, counts in by_vantage.items()}
        counters.prober_sites = {str(i): n for counts in by_vantage.values() for i, n in counts.items() if i != NOBODY}

    def _built_in(self) -> ProberState:
        blind_since = self.context.canaries.blind_since
        return ProberState(NOBODY, 0, 0.0, None if blind_since is None else self.context.clock.now() - blind_since)

    def _built_in_changed(self) -> bool:
        """Whether it is to give its sites away, or to take them back. Without others nobody is there to take them."""
        return bool(self._others) and self._built_in().can_see != self._could_see


def _counts(assigned: Ids) -> dict[int, int]:
    ids, counts = np.unique(assigned, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))
