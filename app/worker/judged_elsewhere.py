"""The leading worker's schedule follows the sites that other workers judge: a first loss is looked at again soon."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from app.judging.ingest import JudgedSite
from app.postgres.work_signals import Work
from app.registry.models import State
from app.worker.context import WorkerContext
from app.worker.jobs import Job

EVERY_S = 1
AT_ONCE = 2_000

# A site that waits for its next look after a mass outage is looked at again soon as well (`ingest`).
JUDGED = """
    SELECT st.site_id, st.state, st.since, st.seen_at, s.parent_id, CASE WHEN EXISTS (
        SELECT FROM suspect x WHERE x.site_id = st.site_id AND x.excused IS NULL
    ) THEN st.seen_at ELSE st.pending_at END AS pending_at
    FROM site_status st JOIN site s ON s.id = st.site_id WHERE st.shard <> 0 {among}
"""
ALL = text(JUDGED.format(among=""))
AMONG = text(JUDGED.format(among="AND st.site_id = ANY(cast(:ids AS int[]))"))


@dataclass
class JudgedElsewhere:
    context: WorkerContext

    def jobs(self) -> list[Job]:
        return [Job("judged_elsewhere", EVERY_S, self.follow_signalled, may_overrun=True)]

    async def follow_signalled(self) -> None:
        signals = self.context.signals
        if not signals.take(Work.JUDGED):
            return
        site_ids = signals.take_judged()
        try:
            await self._follow(None if site_ids is None else sorted(site_ids))
        except Exception:
            signals.forget_judged()
            signals.signal(Work.JUDGED)
            raise

    async def _follow(self, site_ids: Sequence[int] | None) -> None:
        """`site_ids`: None for all of them."""
        if site_ids is not None and not site_ids:
            return
        async with self.context.sessions() as session:  # only reads
            statement, params = (ALL, {}) if site_ids is None else (AMONG, {"ids": site_ids})
            rows = (await session.execute(statement, params)).all()
        for first in range(0, len(rows), AT_ONCE):
            judged = [
                JudgedSite(row.site_id, State(row.state), row.since, row.seen_at, row.pending_at, row.parent_id)
                for row in rows[first : first + AT_ONCE]
            ]
            self.context.schedule.follow(judged, now=self.context.slot)
            await asyncio.sleep(0)  # others go on in between
