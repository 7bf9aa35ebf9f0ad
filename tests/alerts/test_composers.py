"""Two composers at once, and one that is killed, on a database with real commits."""

import asyncio
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.alerts.compose import LOCK
from app.core.clock import floor_second, utc_now
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Sessions, transaction
from app.worker.recount import recount
from tests.support.alerts import AlertDesk
from tests.support.status import add_site

DOWN = text("INSERT INTO state_segment (site_id, started_at, state) VALUES (:site, :at, 'down')")


async def test_what_one_composer_writes_the_other_does_not_and_what_a_killed_one_left_is_still_pending(
    committed_database: tuple[str, AsyncEngine, Sessions],
) -> None:
    _, _, sessions = committed_database
    desk, now = AlertDesk(sessions), floor_second(utc_now())
    channel = await desk.channel("64")
    await desk.rule(channel, office="64")
    site = await add_site(sessions, "198.51.100.1")
    async with transaction(sessions) as session:
        await session.execute(DOWN, {"site": site, "at": now - timedelta(minutes=4)})
        await recount(session, [DirtyRange(site, now - timedelta(minutes=5), now)])
    due = now + timedelta(minutes=1)
    async with transaction(sessions) as session:
        await session.execute(select(func.pg_advisory_xact_lock(LOCK, channel)))
        killed = asyncio.create_task(desk.compose(due))
        await asyncio.wait([killed], timeout=0.3)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
    assert [row.state for row in await desk.announcements()] == ["pending"]
    await asyncio.gather(desk.compose(due), desk.compose(due))
    (notification,) = await desk.notifications()
    assert [row.notification_id for row in await desk.announcements()] == [notification.id]
