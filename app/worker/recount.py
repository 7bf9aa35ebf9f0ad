"""What follows from a ledger that was written: incidents, announcements, and counts that are not valid any more."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.outbox import write_announcements
from app.core.clock import utc_now
from app.incidents.reconcile import reconcile_incidents
from app.judging import invalidation, shards
from app.judging.dirty_range import DirtyRange


async def recount(session: AsyncSession, dirty: Sequence[DirtyRange]) -> None:
    """Reconcile incidents with what was rejudged, announce what changed, and invalidate what was counted of it."""
    if dirty:
        await shards.serialize(session)
    now = utc_now()
    changed = await reconcile_incidents(session, dirty, now=now)  # first: people who name a cause lock in this order
    await write_announcements(session, changed, now=now)
    await invalidation.invalidate(session, dirty)
