"""Readings of sites that another shard judges: they wait for its holder in the inbox of probers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.judging.addressed_block import AddressedBlock
from app.judging.canary_evidence import CanaryLog
from app.judging.shard_map import ShardMap
from app.judging.shards import seat_of
from app.vantages import inbox
from app.vantages.inbox import InboxBlock, PackedBlock
from app.vantages.led_blocks import canaries_of, pack
from probes.reading_wire import MOST_READINGS

HOLDERS = text("SELECT site_id, shard FROM site_status WHERE site_id = ANY(cast(:ids AS int[]))")


@dataclass
class ShardRouting:
    """Of the leading worker's own looks."""

    map: ShardMap = field(default_factory=ShardMap)

    async def keep_own(self, session: AsyncSession, block: AddressedBlock, canaries: CanaryLog) -> AddressedBlock:
        """Return what this shard judges; the rest is queued in the same transaction. With one shard, the block."""
        seat = seat_of(session)
        if seat is None or not len(block):
            return block
        owned = seat.owns(block.readings.key)
        if not owned.all():
            await self.queue(session, block.take(~owned), canaries)
        return block.take(owned)

    async def queue(self, session: AsyncSession, block: AddressedBlock, canaries: CanaryLog) -> None:
        """Queue it for those who judge its sites."""
        packed, shards = list[PackedBlock](), await self.map.shards_of(session, block.readings.key)
        for shard in np.unique(shards).tolist():
            packed += _packed(block.take(shards == shard), canaries, shard)
        await inbox.enqueue(session, packed, prober_id=None, vantage=0, received_at=utc_now())


async def pass_on(session: AsyncSession, waiting: InboxBlock, block: AddressedBlock) -> AddressedBlock:
    """Return what this shard judges of a block out of the inbox; the rest is put back for whoever does.

    A site that nobody knows is nobody's.
    """
    seat = seat_of(session)
    if seat is None or not len(block):
        return block
    owned = seat.owns(block.readings.key)
    if not owned.all():
        others = block.take(~owned)
        ids = np.unique(others.readings.key)
        shard_of = {row.site_id: row.shard for row in await session.execute(HOLDERS, {"ids": ids.tolist()})}
        shards = np.array([shard_of.get(key, -1) for key in others.readings.key.tolist()])
        canaries = canaries_of(waiting)
        packed = [
            part
            for shard in sorted(set(shard_of.values()))
            for part in _packed(others.take(np.flatnonzero(shards == shard)), canaries, shard)
        ]
        await inbox.enqueue(
            session, packed, prober_id=waiting.prober_id, vantage=waiting.vantage, received_at=waiting.received_at
        )
    return block.take(owned)


def _packed(block: AddressedBlock, canaries: CanaryLog, shard: int) -> Sequence[PackedBlock]:
    parts = (block.take(slice(first, first + MOST_READINGS)) for first in range(0, len(block), MOST_READINGS))
    return [pack(part, canaries, shard=shard) for part in parts]
