"""Which shard readings are queued for."""

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging import shard_map, shards
from app.judging.shard_map import ShardMap
from tests.conftest import Cast
from tests.factories import register


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_readings_are_queued_for_who_judges_their_sites_as_far_as_is_known(
    cast: Cast, session: AsyncSession
) -> None:
    ids = [(await register(cast, host=f"127.9.9.{n}"))["id"] for n in range(3)]
    keys, clock = np.array([*ids, 10**6, -1], np.int32), Clock()
    known = ShardMap(clock)
    async with session.begin():
        assert (await known.shards_of(session, keys)).tolist() == [0] * 5
        await shards.write_shards(session, 3)
        await session.execute(text("UPDATE site_status SET shard = 2 WHERE site_id = :id"), {"id": ids[1]})
        assert (await known.shards_of(session, keys)).tolist() == [0] * 5, "not asked again yet"
        clock.now += shard_map.COUNTED_EVERY_S
        assert (await known.shards_of(session, keys)).tolist() == [0, 2, 0, 0, 0]
        await session.execute(text("UPDATE site_status SET shard = 1 WHERE site_id = :id"), {"id": ids[2]})
        clock.now += shard_map.READ_EVERY_S
        assert (await known.shards_of(session, keys)).tolist() == [0, 2, 1, 0, 0]
        await shards.write_shards(session, 1)
        clock.now += shard_map.COUNTED_EVERY_S
        assert (await known.shards_of(session, keys)).tolist() == [0] * 5


def test_trees_are_spread_evenly_over_the_shards() -> None:
    counts = np.bincount(shards.shard_of_trees(np.arange(1, 9001), 3))
    assert (abs(counts - 3000) < 150).all()
    assert shards.shard_of_trees(np.arange(1, 9), 1).tolist() == [0] * 8
