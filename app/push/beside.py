"""Records what devices told beside the rows of their pushes: a terminal's answer, and breaks of their streams."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.push.dedupe import ReceivedPush
from app.push.reported_breaks import place
from app.push.timestamps import epochs_of
from app.streams import store as streams
from app.streams.break_bounds import ReportedBreak
from app.telemetry import terminal_reports
from app.telemetry.terminal_reports import TerminalReport


async def record_beside(session: AsyncSession, pushes: Sequence[ReceivedPush]) -> None:
    """In the caller's transaction. A push that is sent again changes nothing."""
    await terminal_reports.record(session, _terminal_reports(pushes))
    await streams.record_reported(session, [one for received in pushes for one in _breaks(received)])


def _terminal_reports(pushes: Sequence[ReceivedPush]) -> list[TerminalReport]:
    """Return what terminals answered. A push without an uptime cannot be told from its repetition by it."""
    return [
        TerminalReport(
            received.site.site_id,
            f"{push.boot}:{received.received_us if push.uptime_us is None else push.uptime_us}",
            received.received_at,
            push.starlink,
        )
        for received in pushes
        if (push := received.push).starlink is not None and received.site is not None
    ]


def _breaks(received: ReceivedPush) -> list[ReportedBreak]:
    push, site = received.push, received.site
    if not push.breaks or site is None or push.boot is None:
        return []
    epoch_us = epochs_of(push, received.received_us).get(push.boot)
    if epoch_us is None or epoch_us > received.received_us:  # a boot that is yet to come
        return []
    is_exact = push.epochs_us.get(push.boot) == epoch_us
    return place(site.site_id, push.boot, epoch_us, received.received_at, push.breaks, is_exact=is_exact)
