"""Which days are counted again: only those that changed, and each only once its figures can differ."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import daily_rollup, monthly_close, retroactive_changes
from app.core.clock import floor_second, to_slot, utc_now
from app.postgres.engine import Sessions, transaction
from app.worker import writer as worker
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.support.site_histories import day, execute, site_since, under_contract
from tests.support.uptime import when_yesterday_is_counted


async def down_since(session: AsyncSession, cast: Cast, since: datetime) -> tuple[int, datetime]:
    """A site that has been down since then, seen to be so a minute ago; and now."""
    site, now = await site_since(session, cast, since - timedelta(days=10), (since, "down")), floor_second(utc_now())
    await execute(
        session,
        "UPDATE site_status SET state = 'down', unknown_reason = NULL, since = :since, evidence_at = :seen, "
        "seen_at = :seen, last_ok_at = :since, valid_s = 60 WHERE site_id = :id",
        since=since,
        seen=now - timedelta(seconds=60),
        id=site,
    )
    return site, now


async def count(sessions: Sessions, most: int = 60) -> int:
    """The steps that it took."""
    for steps in range(most):
        async with transaction(sessions) as session:
            if not await daily_rollup.count_days(session, when_yesterday_is_counted(), days=20):
                return steps
    return most


async def stale_days(session: AsyncSession) -> Any:
    async with session.begin():
        return await session.scalar(text("SELECT count(*) FROM stale_day"))


async def test_another_loss_in_a_long_outage_makes_no_day_stale(
    sessions: Sessions, session: AsyncSession, cast: Cast
) -> None:
    site, now = await down_since(session, cast, day(20, 5))
    await count(sessions)
    async with transaction(sessions) as writing:
        at = await writing.scalar(text("SELECT addressed_at FROM site WHERE id = :id"), {"id": site})
        await worker.write_batch(writing, [(Reading(site, to_slot(now), Outcome.TIMEOUT, 3, (), 60), at)], [])
    assert await stale_days(session) == 0


async def test_the_end_of_a_long_outage_makes_all_its_days_stale(
    sessions: Sessions, session: AsyncSession, cast: Cast
) -> None:
    site, now = await down_since(session, cast, day(20, 5))
    await count(sessions)
    async with transaction(sessions) as writing:
        at = await writing.scalar(text("SELECT addressed_at FROM site WHERE id = :id"), {"id": site})
        await worker.write_batch(writing, [(Reading(site, to_slot(now), Outcome.OK, 3, (20_000,) * 3, 60), at)], [])
    assert await stale_days(session) == 20


async def test_a_day_whose_outage_may_still_count_stays_stale_without_being_recounted_each_run(
    sessions: Sessions, session: AsyncSession, cast: Cast
) -> None:
    site, _ = await down_since(session, cast, day(1, 5))
    await under_contract(session, site, valid_from=day(9).date(), terms=[(day(9).date(), {"min_outage_s": 86_400 * 3})])
    assert await count(sessions) < 60
    assert await stale_days(session) == 1, "it is answered live meanwhile"


async def test_a_correction_of_a_closed_month_has_the_reason_of_the_change(
    sessions: Sessions, session: AsyncSession, cast: Cast
) -> None:
    site, first = await site_since(session, cast, day(100)), day(100, 8).date()
    await under_contract(session, site, valid_from=first, terms=[(first, {})])
    await _close(sessions)
    await execute(
        session,
        "INSERT INTO maintenance_window (started_at, ended_at, site_id, title, created_by, version) "
        "VALUES (:a, :b, :id, 'w', 'sari', 1)",
        a=day(60, 3),
        b=day(60, 5),
        id=site,
    )
    async with transaction(sessions) as writing:
        await retroactive_changes.invalidate(writing, [site], [(day(60, 3), day(60, 5))], reason="surat PLN 17")
    await _close(sessions)
    async with session.begin():
        assert list(await session.scalars(text("SELECT reason FROM month_correction"))) == ["surat PLN 17"]


async def _close(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        while await monthly_close.close_months(session, utc_now()):
            pass
