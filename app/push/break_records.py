"""Records what devices reported of their streams' breaks beside their rows."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.push.dedupe import ReceivedPush
from app.push.reported_breaks import place
from app.push.timestamps import epochs_of
from app.streams import store
from app.streams.break_bounds import ReportedBreak


async def record_breaks(session: AsyncSession, pushes: Sequence[ReceivedPush]) -> None:
    """In the caller's transaction. A push that is sent again changes nothing."""
    await store.record_reported(session, [one for received in pushes for one in _placed(received)])


def _placed(received: ReceivedPush) -> list[ReportedBreak]:
    push, site = received.push, received.site
    if not push.breaks or site is None or push.boot is None:
        return []
    epoch_us = epochs_of(push, received.received_us).get(push.boot)
    if epoch_us is None or epoch_us > received.received_us:  # a boot that is yet to come
        return []
    is_exact = push.epochs_us.get(push.boot) == epoch_us
    return place(site.site_id, push.boot, epoch_us, received.received_at, push.breaks, is_exact=is_exact)
