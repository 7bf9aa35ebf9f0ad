"""Receipts of blocks: which of a delivery are new, and when they are forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.vantages.delivery import DeliveredBlock

KEPT = timedelta(days=8)  # a block older than 7 days is rejected, so that none is taken twice

RECEIVE = text("""
    INSERT INTO prober_receipt (prober_id, boot, seq, received_at, checksum)
    SELECT :prober, :boot, seq, :now, checksum FROM unnest(cast(:seqs AS bigint[]), cast(:checksums AS bigint[]))
        AS n(seq, checksum)
    ON CONFLICT DO NOTHING RETURNING seq
""")
CHANGED = text("""
    SELECT r.seq FROM prober_receipt r
        JOIN unnest(cast(:seqs AS bigint[]), cast(:checksums AS bigint[])) AS n(seq, checksum) ON n.seq = r.seq
    WHERE r.prober_id = :prober AND r.boot = :boot AND r.checksum <> n.checksum ORDER BY 1
""")
DELETE_EXPIRED = text("DELETE FROM prober_receipt WHERE received_at < :before")


@dataclass(frozen=True, slots=True)
class Received:
    """By sequence numbers. `changed`: of those that were received before, the ones that held other readings."""

    new: frozenset[int]
    changed: Sequence[int]


async def receive(
    session: AsyncSession, prober_id: int, boot: str, blocks: Sequence[DeliveredBlock], now: datetime
) -> Received:
    """Give receipts for the blocks that have none yet."""
    identity = {"prober": prober_id, "boot": boot}
    columns = {"seqs": [block.seq for block in blocks], "checksums": [block.checksum for block in blocks]}
    new = frozenset(await session.scalars(RECEIVE, {**identity, **columns, "now": now}))
    if len(new) == len(blocks):
        return Received(new, ())
    return Received(new, list(await session.scalars(CHANGED, identity | columns)))


async def delete_expired(session: AsyncSession) -> None:
    await session.execute(DELETE_EXPIRED, {"before": utc_now() - KEPT})
