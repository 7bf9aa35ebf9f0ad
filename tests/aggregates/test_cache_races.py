"""The data version under concurrent retroactive changes, on several connections that really commit."""

import asyncio
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from app.aggregates.cache_key import AggregateKind, DataVersion, read_data_version
from app.core.periods import Period
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Sessions, transaction
from tests.support.site_histories import day
from tests.support.status import add_site

Committed = tuple[str, AsyncEngine, Sessions]


async def data_version(sessions: Sessions) -> DataVersion:
    async with transaction(sessions) as session:
        return await read_data_version(
            session, AggregateKind.AVAILABILITY, Period(day(3), day(1)), site_id=None, refresh_s=10**9, now=time.time()
        )


async def test_a_change_shows_in_the_version_when_it_commits_and_not_before(committed_database: Committed) -> None:
    sessions = committed_database[2]
    site = await add_site(sessions, "198.51.100.1")
    before = await data_version(sessions)
    async with transaction(sessions) as session:
        await invalidation.invalidate(session, [DirtyRange(site, day(2), day(2, 1))])
        assert await data_version(sessions) == before
    assert await data_version(sessions) != before


async def test_concurrent_changes_of_the_same_days_wait_for_each_other_without_deadlock(
    committed_database: Committed,
) -> None:
    sessions = committed_database[2]
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


async def test_a_change_of_today_does_not_change_the_version_of_settled_days(committed_database: Committed) -> None:
    sessions = committed_database[2]
    site = await add_site(sessions, "198.51.100.1")
    before = await data_version(sessions)
    async with transaction(sessions) as session:
        await invalidation.invalidate(session, [DirtyRange(site, day(0), day(0, 0.01))])
    assert await data_version(sessions) == before
