"""Changes the number of shards, at a leader's start: nobody judges meanwhile."""

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging import shard_trees
from app.judging.shards import MOST_SHARDS, ShardSeat, read_shards, write_shards
from app.postgres.engine import Sessions, direct_url, transaction
from app.postgres.leader_lock import LeaderLock
from app.postgres.leadership import ShardLeadership
from app.settings import Settings

log = structlog.get_logger()

CHANGING = 0  # every other worker gives up what it holds

HIGHEST = text("SELECT coalesce(max(shard), 0) FROM site_status")
# What was left to a shard is looked for in each of them: whoever has nothing to do does nothing.
SPREAD_BLIND = text("""
    WITH ranges AS (DELETE FROM shard_task WHERE kind = 'blind' RETURNING source, started_at, ended_at)
    INSERT INTO shard_task (shard, kind, source, started_at, ended_at)
    SELECT shard, 'blind', source, started_at, ended_at FROM (SELECT DISTINCT * FROM ranges) r,
        generate_series(0, :shards - 1) shard
""")
FOLLOW_SITES = text("""
    UPDATE shard_task t SET shard = st.shard FROM site_status st WHERE st.site_id = t.site_id AND t.kind = 'rejudge'
""")
FORGET_TAKEN = text("DELETE FROM shard_task WHERE kind = 'take'")  # each holder loads all its sites
REQUEUE = text("UPDATE prober_inbox SET shard = 0 WHERE shard >= :shards")  # whose are not its own are passed on


async def take_first_seat(sessions: Sessions, settings: Settings) -> ShardSeat | None:
    """Return the leading worker's seat, once the database knows of as many shards as are set; None: there is one."""
    shards = settings.judging_shards
    async with sessions() as session:  # only reads
        present = await read_shards(session)
    if present != shards:
        await _change(sessions, direct_url(settings), shards)
    return ShardSeat(0, shards) if shards > 1 else None


async def _change(sessions: Sessions, url: str, shards: int) -> None:
    """Have all holders give up, hold their locks meanwhile, and put every site where it belongs."""
    async with transaction(sessions) as session:
        highest = await session.scalar(HIGHEST) or 0
        await write_shards(session, CHANGING)
    locks = [LeaderLock(url, ShardLeadership(shard)) for shard in range(1, min(highest, MOST_SHARDS) + 1)]
    try:
        for lock in locks:
            await lock.win()  # with a generation of its own: a holder that still judges cannot commit
        async with transaction(sessions) as session:
            await _place(session, shards)
    finally:
        for lock in locks:
            lock.abandon()
    log.info("shards_changed", shards=shards)


async def _place(session: AsyncSession, shards: int) -> None:
    await shard_trees.place_all(session, shards)
    await session.execute(FORGET_TAKEN)
    await session.execute(FOLLOW_SITES)
    await session.execute(SPREAD_BLIND, {"shards": shards})
    await session.execute(REQUEUE, {"shards": shards})
    await write_shards(session, shards)
