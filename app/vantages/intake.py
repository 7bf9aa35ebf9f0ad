"""Takes what a prober delivers, and its beats, in one transaction: what is acknowledged is in the inbox, once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, Fault, Invalid, NotSignedIn
from app.judging.shard_map import ShardMap
from app.postgres.work_signals import Work, announce
from app.vantages import inbox, receipts
from app.vantages.assigned_looks import find_unassigned
from app.vantages.beat import BeatIn
from app.vantages.delivery import DeliveredBlock, ProberDelivery
from app.vantages.inbox import PackedBlock
from app.vantages.live_probers import LEASE_S
from app.vantages.serving_database import DATABASE
from probes.reading_block import ReadingBlock
from probes.reading_wire import encode

LEASE = timedelta(seconds=LEASE_S)
QUIET = timedelta(hours=1)  # after which superseded processes are counted anew
UNKNOWN_TOKEN = "This prober's token is unknown, replaced or revoked"  # noqa: S105  # a message, no secret

LOCK = text(f"""
    SELECT clock_timestamp() AS now, p.id, p.vantage, p.instance, p.started_at, p.seen_at, p.blind_since,
        p.superseded, p.superseded_at,
        coalesce((SELECT version FROM change_counter WHERE name = 'registry'), 0) AS assignment,
        {DATABASE} AS database
    FROM prober p WHERE p.digest = :digest AND p.revoked_at IS NULL FOR NO KEY UPDATE OF p
""")
HEARD = text("""
    UPDATE prober SET seen_at = :now, address = :address, readings = readings + :readings,
        rejected_readings = rejected_readings + :rejected,
        last_rejection = coalesce(:rejection, last_rejection),
        last_rejected_at = CASE WHEN cast(:rejection AS text) IS NULL THEN last_rejected_at ELSE :now END
    WHERE id = :prober
""")
REPORTED = text("""
    UPDATE prober SET instance = :instance, started_at = :started_at, protocol = :protocol, version = :version,
        clock_offset_ms = :clock_offset_ms, blind_since = :blind_since, spooled_readings = :spooled_readings,
        spool_oldest_at = :spool_oldest_at, figures = cast(:figures AS jsonb)
    WHERE id = :prober
""")
SUPERSEDE = text("UPDATE prober SET superseded = :count, superseded_at = :now WHERE id = :prober")


class Superseded(Conflict):
    type, title = "superseded", "Another process with this token began later: this one ends"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a prober is told. `superseded`: nothing was taken."""

    assignment: int
    database: str
    accepted: Sequence[int] = ()
    duplicates: Sequence[int] = ()
    changed: Sequence[int] = ()  # of the duplicates, those with other readings than the first time
    not_assigned: int = 0
    superseded: bool = False


async def take(
    session: AsyncSession,
    token_digest: bytes,
    *,
    address: str | None,
    shards: ShardMap,
    beat: BeatIn | None = None,
    delivery: ProberDelivery | None = None,
) -> Taken:
    """Store a beat, a delivery, or a delivery with its beat. Raises NotSignedIn, Invalid.

    1. Lock the prober: its messages come one after the other.
    2. Let the process that began last be the one that speaks for it.
    3. Give the blocks receipts; those that have one are duplicates.
    4. Drop readings of sites that were not to be looked at from here, and queue the others.
    5. Write down that it was heard, and what it said of itself.
    """
    row = (await session.execute(LOCK, {"digest": token_digest})).one_or_none()
    if row is None:
        raise NotSignedIn(UNKNOWN_TOKEN)
    now: datetime = row.now  # the database's: the apis' clocks may differ, and leases are counted by it
    taken = Taken(row.assignment, row.database)
    if not _speaks(row, beat, delivery, now):
        await _count_superseded(session, row, now)
        return replace(taken, superseded=True)
    if delivery is not None:
        taken = await _receive(session, row, delivery, now, taken, shards)
    await _write_heard(session, row, delivery, taken, now, address)
    is_new = row.seen_at is None or now - row.seen_at > LEASE
    if beat is not None:
        await session.execute(REPORTED, _reported(row.id, beat, now))
        is_new = is_new or (beat.blind_since is None) != (row.blind_since is None)
    if is_new:
        await announce(session, Work.ASSIGNMENT)
    return taken


def _speaks(row: Row[Any], beat: BeatIn | None, delivery: ProberDelivery | None, now: datetime) -> bool:
    """Return whether the message is of the process that speaks for the prober, or of one that does from now on.

    Raises Invalid for one that is unknown and did not say when it began.
    """
    instance = beat.instance if beat is not None else delivery.instance if delivery is not None else None
    if row.instance == instance:
        return True
    if beat is None:
        raise Invalid(
            Fault("beat", "beat_first", "The first message of a process carries its beat", "Send the member beat too")
        )
    is_silent = row.seen_at is None or now - row.seen_at > LEASE
    return row.started_at is None or is_silent or min(beat.started_at, now) > row.started_at


async def _count_superseded(session: AsyncSession, row: Row[Any], now: datetime) -> None:
    is_new = row.superseded_at is None or now - row.superseded_at > QUIET
    count = 1 if is_new else row.superseded + 1
    await session.execute(SUPERSEDE, {"prober": row.id, "now": now, "count": count})


async def _receive(
    session: AsyncSession, row: Row[Any], delivery: ProberDelivery, now: datetime, taken: Taken, shards: ShardMap
) -> Taken:
    blocks = delivery.blocks
    if not blocks:
        return taken
    received = await receipts.receive(session, row.id, delivery.boot, blocks, now)
    fresh = [block for block in blocks if block.seq in received.new]
    return replace(
        taken,
        accepted=sorted(received.new),
        duplicates=[block.seq for block in blocks if block.seq not in received.new],
        changed=received.changed,
        not_assigned=await _enqueue(session, row, fresh, now, shards),
    )


async def _enqueue(
    session: AsyncSession, row: Row[Any], blocks: Sequence[DeliveredBlock], now: datetime, shards: ShardMap
) -> int:
    """Queue the readings of sites that are looked at from the prober's vantage; return how many others there were."""
    if not blocks:
        return 0
    others = await find_unassigned(
        session, ReadingBlock.concat([block.block.readings for block in blocks]), vantage=row.vantage
    )
    packed, start = list[PackedBlock](), 0
    for delivered in blocks:
        end = start + len(delivered.block)
        packed += _pack(delivered, ~others[start:end], await shards.shards_of(session, delivered.block.readings.key))
        start = end
    await inbox.enqueue(session, packed, prober_id=row.id, vantage=row.vantage, received_at=now)
    return int(others.sum())


def _pack(delivered: DeliveredBlock, wanted: NDArray[np.bool_], shards: NDArray[np.int16]) -> list[PackedBlock]:
    """Return the readings that are wanted, a block for each shard."""
    if wanted.all() and (shards == shards[0]).all():
        return [PackedBlock(len(wanted), delivered.packed, int(shards[0]))]
    parts = ((shard, delivered.block.take(wanted & (shards == shard))) for shard in np.unique(shards[wanted]).tolist())
    return [PackedBlock(len(part), encode(part.readings, part.addressed_at), shard) for shard, part in parts]


async def _write_heard(
    session: AsyncSession,
    row: Row[Any],
    delivery: ProberDelivery | None,
    taken: Taken,
    now: datetime,
    address: str | None,
) -> None:
    blocks, rejected = (delivery.blocks, delivery.rejected) if delivery is not None else ([], [])
    accepted = set(taken.accepted)
    heard = {
        "prober": row.id,
        "now": now,
        "address": address,
        "readings": sum(len(block.block) for block in blocks if block.seq in accepted),
        "rejected": sum(block.readings for block in rejected),
        "rejection": rejected[-1].code if rejected else "changed" if taken.changed else None,
    }
    await session.execute(HEARD, heard)


def _reported(prober_id: int, beat: BeatIn, now: datetime) -> dict[str, Any]:
    """Return the beat as it is stored; what it says of the future counts as now."""
    return {
        "prober": prober_id,
        "instance": beat.instance,
        "started_at": min(beat.started_at, now),
        "protocol": beat.protocol,
        "version": beat.version,
        "clock_offset_ms": beat.clock_offset_ms,
        "blind_since": None if beat.blind_since is None else min(beat.blind_since, now),
        "spooled_readings": min(beat.spool.readings, 2**31 - 1),
        "spool_oldest_at": beat.spool.oldest_at,
        "figures": orjson.dumps(beat.stored_figures()).decode(),
    }
