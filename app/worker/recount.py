"""What follows from a ledger that was written: incidents, announcements, and counts that are not valid any more."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.outbox import write_announcements
from app.core.clock import utc_now
from app.incidents.reconcile import reconcile_incidents
from app.judging import invalidation, shards
from app.judging.dirty_range import DirtyRange
from app.judging.ingest import IngestResult
from app.latency import rollup


async def recount(session: AsyncSession, dirty: Sequence[DirtyRange]) -> None:
    """Reconcile incidents with what was rejudged, announce what changed, and invalidate what was counted of it."""
    if dirty:
        await shards.serialize(session)
    now = utc_now()
    changed = await reconcile_incidents(session, dirty, now=now)  # first: people who name a cause lock in this order
    await write_announcements(session, changed, now=now)
    await invalidation.invalidate(session, dirty)


async def recount_ingested(session: AsyncSession, result: IngestResult, others: Sequence[DirtyRange] = ()) -> None:
    """Recount what follows from readings that were judged, and `others`; of looks that are held, their packets too."""
    await recount(session, [*result.dirty_ranges, *others])
    if result.held:
        first, last = min(held.start for held in result.held), max(held.end for held in result.held)
        site_ids = {held.site_id for held in result.held}
        await rollup.invalidate(session, first, last + timedelta(seconds=1), site_ids=site_ids)
