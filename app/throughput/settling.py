"""A download of ours that is over: what it found, and what it cost."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.throughput.models import Stage, ThroughputTest
from app.throughput.store import UNMEASURED
from probes.throughput import DownloadResult


def status_of(found: DownloadResult) -> Stage:
    if found.mbps is not None:
        return Stage.DONE
    return Stage.INVALID if found.reason in UNMEASURED else Stage.FAILED


async def settle(session: AsyncSession, test_id: int, found: DownloadResult, now: datetime) -> bool:
    """Whether it was still ours to settle: one that was given up keeps its reservation."""
    done = await session.execute(
        update(ThroughputTest)
        .where(ThroughputTest.id == test_id, ThroughputTest.status == Stage.RUNNING)
        .values(
            status=status_of(found),
            reason=found.reason,
            ended_at=now,
            expires_at=None,
            reserved_bytes=0,
            down_bytes=found.bytes,
            down_ms=round(found.seconds * 1000),
            down_mbps=found.mbps,
            rtt_idle_ms=found.rtt_idle_ms,
            rtt_loaded_ms=found.rtt_loaded_ms,
        )
        .returning(ThroughputTest.id)
    )
    return done.first() is not None
