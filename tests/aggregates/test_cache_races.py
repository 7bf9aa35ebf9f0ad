"""What is remembered while others change the past: on several connections that really commit."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from app.aggregates import cache_key
from app.aggregates.cache_key import Figures, Watermark
from app.core.periods import Period
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Sessions, transaction
from tests.availability.past import day
from tests.support.status import add_site, committed

__all__ = ["committed"]

Committed = tuple[str, AsyncEngine, Sessions]


async def mark(sessions: Sessions) -> Watermark:
    async with transaction(sessions) as session:
        return await cache_key.read(
            session, Figures.AVAILABILITY, Period(day(3), day(1)), site_id=None, refresh_s=10**9
        )


async def test_a_change_moves_the_mark_when_it_is_to_be_seen_and_not_before(committed: Committed) -> None:
    sessions = committed[2]
    site = await add_site(sessions, "198.51.100.1")
    before = await mark(sessions)
    async with transaction(sessions) as session:
        await invalidation.invalidate(session, [DirtyRange(site, day(2), day(2, 1))])
        assert await mark(sessions) == before
    assert await mark(sessions) != before


async def test_two_who_change_the_same_days_wait_for_each_other_once(committed: Committed) -> None:
    sessions = committed[2]
    first, second = await add_site(sessions, "198.51.100.1"), await add_site(sessions, "198.51.100.2")

    async def change_both() -> None:
        async with transaction(sessions) as session:
            await invalidation.invalidate(
                session, [DirtyRange(first, day(2), day(2, 1)), DirtyRange(second, day(2), day(2, 1))]
            )

    async with transaction(sessions) as session:
        await invalidation.invalidate(session, [DirtyRange(second, day(2), day(2, 1))])
        other = asyncio.create_task(change_both())
        await asyncio.sleep(0.3)
        assert not other.done()
        await invalidation.invalidate(session, [DirtyRange(first, day(2), day(2, 1))])
    await other


async def test_a_change_of_today_leaves_the_past_alone(committed: Committed) -> None:
    sessions = committed[2]
    site = await add_site(sessions, "198.51.100.1")
    before = await mark(sessions)
    async with transaction(sessions) as session:
        await invalidation.invalidate(session, [DirtyRange(site, day(0), day(0, 0.01))])
    assert await mark(sessions) == before
