"""Moves sites between shards: a tree that got another top, or with sites that push by now, is judged elsewhere."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging import judge_state_store, shard_tasks
from app.judging.shards import LEADERS, ShardSeat, shard_of_trees

# UNION ends where parents form a ring.
WHOLE_TREES = """
    down AS (
        SELECT id, id AS root FROM {roots} UNION SELECT s.id, d.root FROM down d JOIN site s ON s.parent_id = d.id
    )
    SELECT d.id, d.root, st.shard, bool_or(s.probe = 'push') OVER (PARTITION BY d.root) AS pushes
    FROM down d JOIN site s ON s.id = d.id JOIN site_status st ON st.site_id = d.id
"""
TREES_OF = text(f"""
    WITH RECURSIVE up AS (
        SELECT id, parent_id FROM site WHERE id = ANY(cast(:ids AS int[]))
        UNION SELECT s.id, s.parent_id FROM up JOIN site s ON s.id = up.parent_id
    ), {WHOLE_TREES.format(roots="(SELECT id FROM up WHERE parent_id IS NULL) roots")}
""")
ALL_TREES = text(f"WITH RECURSIVE {WHOLE_TREES.format(roots='(SELECT id FROM site WHERE parent_id IS NULL) roots')}")
MOVE = text("""
    UPDATE site_status st SET shard = n.shard
    FROM unnest(cast(:ids AS int[]), cast(:shards AS int[])) AS n(site_id, shard)
    WHERE st.site_id = n.site_id AND st.shard <> n.shard
""")

SITES = text("SELECT site_id FROM site_status WHERE shard = :shard")
SITES_AMONG = text("SELECT site_id FROM site_status WHERE shard = :shard AND site_id = ANY(cast(:ids AS int[]))")


@dataclass(frozen=True, slots=True)
class Placement:
    """Sites with the shard that each is in and the one where its tree belongs."""

    site_ids: list[int]
    present: list[int]
    due: list[int]

    def leaving(self, shard: int) -> dict[int, int]:
        """Return the sites of this shard that belong elsewhere, with their shard."""
        rows = zip(self.site_ids, self.present, self.due, strict=True)
        return {site_id: due for site_id, present, due in rows if present == shard and due != shard}


async def read_placement(session: AsyncSession, shards: int, site_ids: Collection[int] | None = None) -> Placement:
    """Return all sites of the trees that these sites belong to; None: of all trees."""
    statement, params = (ALL_TREES, {}) if site_ids is None else (TREES_OF, {"ids": sorted(site_ids)})
    rows = (await session.execute(statement, params)).all()
    hashed = shard_of_trees(np.array([row.root for row in rows], np.int64), shards).tolist()
    due = [LEADERS if row.pushes else shard for row, shard in zip(rows, hashed, strict=True)]
    return Placement([row.id for row in rows], [row.shard for row in rows], due)


async def list_sites(session: AsyncSession, shard: int, *, among: Collection[int] | None = None) -> list[int]:
    """Return the sites, of these or of all, that the holder of this shard judges."""
    if among is None:
        return list(await session.scalars(SITES, {"shard": shard}))
    return list(await session.scalars(SITES_AMONG, {"shard": shard, "ids": list(among)}))


async def place_all(session: AsyncSession, shards: int) -> None:
    """Put every site where it belongs. Nobody else may judge meanwhile."""
    placement = await read_placement(session, shards)
    await session.execute(MOVE, {"ids": placement.site_ids, "shards": placement.due})


async def give_away(session: AsyncSession, seat: ShardSeat, site_ids: Collection[int]) -> Mapping[int, int]:
    """Give away those of this seat's sites, of the trees of these, that belong to another shard; return where to.

    What is in memory of them is written first; their next holder takes them over after the commit.
    """
    leaving = (await read_placement(session, seat.shards, site_ids)).leaving(seat.shard)
    if leaving:
        unwritten = judge_state_store.unwritten_states(session)
        await unwritten.write(session, leaving)
        await session.execute(MOVE, {"ids": list(leaving), "shards": list(leaving.values())})
        await shard_tasks.leave_sites(session, leaving)
        unwritten.note_given_away(leaving)
    return leaving
