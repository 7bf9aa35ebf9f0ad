"""Durable queue of blocks between the API, which acknowledges them, and the worker, which judges them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.addressed_block import AddressedBlock
from app.postgres.work_signals import Work, announce
from probes.contract import VANTAGES
from probes.reading_wire import decode, encode

NO_SHARD = 2**15 - 1

INSERT = text("""
    INSERT INTO prober_inbox (prober_id, vantage, shard, received_at, readings, block)
    SELECT :prober, :vantage, n.shard, :received_at, n.readings, n.block
    FROM unnest(cast(:shards AS smallint[]), cast(:readings AS int[]), cast(:blocks AS bytea[]))
        WITH ORDINALITY AS n(shard, readings, block, place) ORDER BY place
""")
DELETE_OLDEST = text("""
    DELETE FROM prober_inbox WHERE id IN (
        SELECT id FROM (
            SELECT id, sum(readings) OVER (ORDER BY id) - readings AS before FROM (
                SELECT id, readings FROM prober_inbox
                WHERE refused_at IS NULL AND (shard = cast(:shard AS smallint) OR shard >= cast(:beyond AS smallint))
                ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
            ) oldest
        ) counted WHERE before < :most
    ) RETURNING id, prober_id, vantage, received_at, readings, block AS packed
""")
DELETE = text("DELETE FROM prober_inbox WHERE id = :id RETURNING shard")
SET_ASIDE = text("UPDATE prober_inbox SET refused_at = now() WHERE id = :id")
REQUEUE = text("UPDATE prober_inbox SET refused_at = NULL WHERE refused_at IS NOT NULL")
WAITING = text("""
    SELECT p.digest, sum(i.readings) AS readings FROM prober_inbox i LEFT JOIN prober p ON p.id = i.prober_id
    WHERE i.refused_at IS NULL GROUP BY p.digest
""")


@dataclass(frozen=True, slots=True)
class PackedBlock:
    """Readings of one shard, as `probes.reading_wire.encode` packs them."""

    readings: int
    packed: bytes
    shard: int = 0


@dataclass(frozen=True, slots=True)
class InboxBlock:
    """`packed` is decoded only by `block()`, so that one which cannot be decoded does not stop the others."""

    id: int
    prober_id: int | None  # None: the leading worker's own
    vantage: int
    received_at: datetime
    readings: int
    packed: bytes

    def block(self) -> AddressedBlock:
        """Raises ValueError for one of another format."""
        return AddressedBlock(*decode(self.packed, source=VANTAGES[self.vantage]))


async def enqueue(
    session: AsyncSession,
    blocks: Sequence[PackedBlock],
    *,
    prober_id: int | None,
    vantage: int,
    received_at: datetime,
) -> None:
    """Queue blocks in their order, and wake who judges them at the commit."""
    if not blocks:
        return
    await session.execute(
        INSERT,
        {
            "prober": prober_id,
            "vantage": vantage,
            "received_at": received_at,
            "shards": [block.shard for block in blocks],
            "readings": [block.readings for block in blocks],
            "blocks": [block.packed for block in blocks],
        },
    )
    await announce(session, Work.PROBERS)


async def dequeue(
    session: AsyncSession, *, limit: int, most_readings: int, shard: int = 0, beyond: int = NO_SHARD
) -> list[InboxBlock]:
    """Delete and return the oldest blocks of a shard in the order of their receipt.

    With those of shards from `beyond` on, which nobody holds. They are gone once the caller's transaction commits.
    """
    parameters = {"limit": limit, "most": most_readings, "shard": shard, "beyond": beyond}
    rows = await session.execute(DELETE_OLDEST, parameters)
    return sorted((InboxBlock(**row) for row in rows.mappings()), key=lambda block: block.id)


async def split(session: AsyncSession, waiting: InboxBlock) -> bool:
    """Put two halves in a block's place, at the end of the queue; False if it cannot be halved."""
    try:
        block = waiting.block()
    except ValueError:
        return False
    if len(block) < 2:
        return False
    shard = await session.scalar(DELETE, {"id": waiting.id})
    halves = [block.take(slice(len(block) // 2)), block.take(slice(len(block) // 2, None))]
    packed = [PackedBlock(len(half), encode(half.readings, half.addressed_at), shard or 0) for half in halves]
    received_at = waiting.received_at
    await enqueue(session, packed, prober_id=waiting.prober_id, vantage=waiting.vantage, received_at=received_at)
    return True


async def set_aside(session: AsyncSession, block_id: int) -> None:
    """Keep a block that cannot be judged, but do not dequeue it."""
    await session.execute(SET_ASIDE, {"id": block_id})


async def requeue_set_aside(session: AsyncSession) -> None:
    """Make what was set aside due again, in its old place."""
    await session.execute(REQUEUE)


async def count_waiting(session: AsyncSession) -> dict[bytes | None, int]:
    """Return how many readings wait to be judged, by the digest of their prober's token; None: the worker's own."""
    return {row.digest: int(row.readings) for row in await session.execute(WAITING)}
