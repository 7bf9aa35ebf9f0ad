"""Claims in counted days: the rollup, the figures of a region and a closed month carry what rests on them."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.judging import claim_store
from app.judging.claims import Claim
from app.postgres.engine import Sessions, transaction
from app.worker.recount import recount
from tests.conftest import Cast
from tests.support.site_histories import day, site_since, under_contract
from tests.support.uptime import count, get

HOUR = timedelta(hours=1)


async def claim(sessions: Sessions, site_id: int, ago: int, first_h: int, last_h: int) -> None:
    async with transaction(sessions) as session:
        claimed = Claim(site_id, day(ago, first_h), day(ago, last_h), utc_now())
        await recount(session, await claim_store.record(session, [claimed], ()))


async def test_a_claim_of_a_counted_day_is_in_all_figures_at_once_and_once_counted_again(
    session: AsyncSession, sessions: Sessions, cast: Cast
) -> None:
    site_id = await site_since(
        session, cast, day(4), (day(3, 2), "down"), (day(3, 8), "up"), (day(2, 4), "unknown"), (day(2, 6), "up")
    )
    await under_contract(session, site_id, valid_from=day(9).date(), terms=[(day(9).date(), {})])
    await count(session)
    await claim(sessions, site_id, 3, 3, 6)
    await claim(sessions, site_id, 2, 4, 5)
    period = {"from": day(4), "to": day(1), "step": "day"}
    paths = (f"/sites/{site_id}/uptime", "/regions/64/uptime")
    before = [await get(cast.sari, path, **period) for path in paths]
    await count(session)
    after = [await get(cast.sari, path, **period) for path in paths]
    assert [one["series"] for one in before] == [one["series"] for one in after]
    for figures in after:
        seconds = figures["total"]["seconds"]
        assert (seconds["down"], seconds["unknown"], seconds["claimed"]) == (3 * 3600, 4 * 3600, 4 * 3600)
        assert sum(seconds.values()) - seconds["claimed"] == 3 * 86_400
        assert [row["seconds"]["claimed"] for row in figures["series"]] == [0, 3 * 3600, 3600]
        assert figures["total"]["outages"] == 1
    site = after[0]["total"]
    assert (site["countable_down_s"], site["worst_pct"], site["best_pct"]) == (3 * 3600, 90.277, 95.833)
