"""Ends tests that run: settled with a result, given up, or expired. What nobody accounted for stays reserved."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.throughput.budget import SLACK_BYTES, UP_SLACK_BYTES
from app.throughput.models import SpeedtestStatus, ThroughputTest

UNMEASURED = frozenset({"too_short", "too_little", "still_rising"})  # it ran, but gives no rate: invalid, not failed

OVERDUE = text("""
    UPDATE throughput_test SET status = 'skipped',
        reason = CASE WHEN deferrals > 0 THEN 'deferred' ELSE coalesce(reason, 'stopped') END
    WHERE status = 'waiting' AND waits_until < :now
""")
# Nobody reported: what the test may have cost stays reserved, except for a direction that never began.
EXPIRED = text("""
    UPDATE throughput_test SET ended_at = :now, expires_at = NULL,
        status = CASE WHEN mode = 'pull' THEN 'failed' WHEN down_began_at IS NULL AND up_began_at IS NULL THEN 'skipped'
            WHEN down_ms IS NOT NULL OR up_ms IS NOT NULL THEN 'invalid' ELSE 'failed' END,
        reason = CASE WHEN mode = 'pull' THEN 'stopped' WHEN down_began_at IS NULL AND up_began_at IS NULL
            THEN 'not_taken' WHEN down_ms IS NOT NULL OR up_ms IS NOT NULL THEN 'not_reported' ELSE 'cut_off' END,
        started_at = CASE WHEN mode = 'push' AND down_began_at IS NULL AND up_began_at IS NULL THEN NULL
            ELSE started_at END,
        reserved_bytes = reserved_bytes
            - CASE WHEN mode = 'push' AND down_began_at IS NULL THEN allowed_down_bytes + :slack ELSE 0 END
            - CASE WHEN mode = 'push' AND up_began_at IS NULL THEN allowed_up_bytes + :up_slack ELSE 0 END
    WHERE status = 'running' AND expires_at < :now
""")


async def settle_download(
    session: AsyncSession,
    test_id: int,
    *,
    mbps: float | None,
    reason: str | None,
    size: int,
    seconds: float,
    rtt_idle_ms: float | None,
    rtt_loaded_ms: float | None,
    now: datetime,
) -> bool:
    """Store the result of a download by the worker and release its reservation.

    Return False, and change nothing, if the test was given up or expired meanwhile.
    """
    settled = await session.execute(
        update(ThroughputTest)
        .where(ThroughputTest.id == test_id, ThroughputTest.status == SpeedtestStatus.RUNNING)
        .values(
            status=_status(mbps, reason),
            reason=reason,
            ended_at=now,
            expires_at=None,
            reserved_bytes=0,
            down_bytes=size,
            down_ms=round(seconds * 1000),
            down_mbps=mbps,
            rtt_idle_ms=rtt_idle_ms,
            rtt_loaded_ms=rtt_loaded_ms,
        )
        .returning(ThroughputTest.id)
    )
    return settled.first() is not None


def _status(mbps: float | None, reason: str | None) -> SpeedtestStatus:
    if mbps is not None:
        return SpeedtestStatus.DONE
    return SpeedtestStatus.INVALID if reason in UNMEASURED else SpeedtestStatus.FAILED


async def end_overdue(session: AsyncSession, now: datetime) -> None:
    """Skip tests that waited too long, and end running ones past `expires_at`."""
    await session.execute(OVERDUE, {"now": now})
    await session.execute(EXPIRED, {"now": now, "slack": SLACK_BYTES, "up_slack": UP_SLACK_BYTES})


async def give_up(session: AsyncSession, test_ids: Sequence[int], now: datetime) -> None:
    """Fail downloads that the worker cancelled. Their cost is unknown, so their reservations stay."""
    running = ThroughputTest.id.in_(test_ids), ThroughputTest.status == SpeedtestStatus.RUNNING
    ended = {"status": SpeedtestStatus.FAILED, "reason": "stopped", "ended_at": now}
    await session.execute(update(ThroughputTest).where(*running).values(**ended))
