"""What the holder of one shard leaves to those of others, in the transaction that makes it necessary."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.judging.models import ShardTask
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
DELETE = text("DELETE FROM shard_task WHERE id = ANY(cast(:ids AS bigint[]))")


async def leave_sites(session: AsyncSession, shard_by_site: Mapping[int, int]) -> None:
    """Have the holders of these shards take the sites over."""
    await session.execute(TAKE, {"ids": list(shard_by_site), "shards": list(shard_by_site.values())})
    await announce(session, Work.SHARDS)


async def leave_blindness(session: AsyncSession, ranges: Sequence[BlindRange], *, source: str) -> None:
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
    """Return the ranges of this shard's sites; others' are left to their holders. With one shard all are its own."""
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


async def list_oldest(session: AsyncSession, shard: int, *, limit: int = MOST_TASKS) -> Sequence[ShardTask]:
    query = select(ShardTask).where(ShardTask.shard == shard).order_by(ShardTask.id).limit(limit)
    return (await session.scalars(query)).all()


async def delete(session: AsyncSession, tasks: Sequence[ShardTask]) -> None:
    await session.execute(DELETE, {"ids": [task.id for task in tasks]})


def ranges_of(tasks: Iterable[ShardTask]) -> list[DirtyRange]:
    """Return what is to be judged again."""
    return [
        DirtyRange(task.site_id, task.started_at, task.ended_at)
        for task in tasks
        if task.kind == "rejudge" and task.site_id and task.started_at and task.ended_at
    ]


def blindness_of(tasks: Iterable[ShardTask]) -> dict[str, list[BlindRange]]:
    """Return the blind ranges by source; they are recorded already."""
    ranges: dict[str, list[BlindRange]] = defaultdict(list)
    for task in tasks:
        if task.kind == "blind" and task.source and task.started_at and task.ended_at:
            ranges[task.source].append(BlindRange(task.started_at, task.ended_at, "recorded"))
    return ranges
