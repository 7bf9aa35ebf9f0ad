"""What the holder of one shard leaves to those of others, in the transaction that makes it necessary."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.judging.shards import ShardSeat, seat_of
from app.postgres.work_signals import Work, announce

MOST_TASKS = 500  # a transaction

TAKE = text("""
    INSERT INTO shard_task (shard, kind, site_id)
    SELECT n.shard, 'take', n.site_id FROM unnest(cast(:ids AS int[]), cast(:shards AS int[])) AS n(site_id, shard)
""")
# To whoever judges the site by now: if that changes before the task is done, its present holder passes it on.
REJUDGE = text("""
    INSERT INTO shard_task (shard, kind, site_id, started_at, ended_at)
    SELECT st.shard, 'rejudge', n.site_id, n.started_at, n.ended_at
    FROM unnest(cast(:ids AS int[]), cast(:starts AS timestamptz[]), cast(:ends AS timestamptz[]))
        AS n(site_id, started_at, ended_at) JOIN site_status st USING (site_id)
""")
BLIND = text("""
    INSERT INTO shard_task (shard, kind, source, started_at, ended_at)
    SELECT shard, 'blind', :source, n.started_at, n.ended_at
    FROM unnest(cast(:starts AS timestamptz[]), cast(:ends AS timestamptz[])) AS n(started_at, ended_at),
        unnest(cast(:shards AS int[])) shard
""")
OLDEST = text("""
    DELETE FROM shard_task WHERE id IN (SELECT id FROM shard_task WHERE shard = :shard ORDER BY id LIMIT :limit)
    RETURNING id, kind, site_id, source, started_at, ended_at
""")


@dataclass(slots=True)
class ShardTasks:
    """Some of the tasks of a shard, the oldest."""

    number: int = 0
    taken: list[int] = field(default_factory=list)  # sites that are this shard's by now
    dirty: list[DirtyRange] = field(default_factory=list)
    blind: list[tuple[str, BlindRange]] = field(default_factory=list)  # with their sources; recorded already


async def hand_over(session: AsyncSession, shard_by_site: Mapping[int, int]) -> None:
    await session.execute(TAKE, {"ids": list(shard_by_site), "shards": list(shard_by_site.values())})
    await announce(session, Work.SHARDS)


async def hand_over_blindness(session: AsyncSession, ranges: Sequence[BlindRange], *, source: str) -> None:
    """Have every other shard judge again what these ranges of a source make doubtful. Nothing with one shard."""
    seat = seat_of(session)
    if seat is None or not ranges:
        return
    parameters = {
        "source": source,
        "starts": [blind.started_at for blind in ranges],
        "ends": [blind.ended_at for blind in ranges],
        "shards": [shard for shard in range(seat.shards) if shard != seat.shard],
    }
    await session.execute(BLIND, parameters)
    await announce(session, Work.SHARDS)


async def keep_own(session: AsyncSession, ranges: Iterable[DirtyRange]) -> list[DirtyRange]:
    """Return the ranges of this shard's sites; those of others are handed over. With one shard all are its own."""
    ranges, seat = list(ranges), seat_of(session)
    if seat is None or not ranges:
        return ranges
    owned = owns(seat, ranges)
    others = [dirty for dirty, own in zip(ranges, owned, strict=True) if not own]
    if others:
        parameters = {
            "ids": [dirty.site_id for dirty in others],
            "starts": [dirty.start for dirty in others],
            "ends": [dirty.end for dirty in others],
        }
        await session.execute(REJUDGE, parameters)
        await announce(session, Work.SHARDS)
    return [dirty for dirty, own in zip(ranges, owned, strict=True) if own]


def owns(seat: ShardSeat, ranges: Sequence[DirtyRange]) -> list[bool]:
    owned: list[bool] = seat.owns(np.array([dirty.site_id for dirty in ranges], np.int32)).tolist()
    return owned


async def dequeue(session: AsyncSession, shard: int, *, limit: int = MOST_TASKS) -> ShardTasks:
    """Delete and return the oldest tasks. They are gone once the caller's transaction commits."""
    tasks = ShardTasks()
    rows = (await session.execute(OLDEST, {"shard": shard, "limit": limit})).all()
    for row in sorted(rows, key=lambda row: row.id):
        if row.kind == "take":
            tasks.taken.append(row.site_id)
        elif row.kind == "rejudge":
            tasks.dirty.append(DirtyRange(row.site_id, row.started_at, row.ended_at))
        else:
            tasks.blind.append((row.source, BlindRange(row.started_at, row.ended_at, "recorded")))
    tasks.number = len(rows)
    return tasks
