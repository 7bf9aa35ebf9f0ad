"""A site's days count by the contract that it was under: the primary link's, the backup's where there is no other."""

from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.support.contracts import assign_days, create_contract
from tests.support.monthly_close import AFTERWARDS, CLOSES, MONTH, NEXT, START, close
from tests.support.site_histories import TODAY, day, site_since
from tests.support.uptime import get


async def targets(cast: Cast, site_id: int, first: int, last: int) -> list[float | None]:
    """Return the target of each day from so many days ago to so many."""
    answer = await get(cast.sari, f"/sites/{site_id}/uptime", step="day", **{"from": day(first), "to": day(last)})
    return [row["sla_target_pct"] for row in answer["series"]]


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


async def test_each_day_has_the_target_of_the_contract_that_the_site_was_under(
    cast: Cast, session: AsyncSession
) -> None:
    site = await site_since(session, cast, day(9))
    first, second = await create_contract(cast), await create_contract(cast, number="K-2", sla_target_pct=95)
    await assign_days(session, site, first["id"], ago(8), ago(6))
    await assign_days(session, site, second["id"], ago(6), ago(5))
    await assign_days(session, site, first["id"], ago(4))
    assert await targets(cast, site, 9, 2) == [None, 99, 99, 95, None, 99, 99]


async def test_of_two_roles_the_primary_links_contract_counts_and_the_backups_where_it_ends(
    cast: Cast, session: AsyncSession
) -> None:
    site = await site_since(session, cast, day(9))
    primary = await create_contract(cast, valid_to=ago(5).isoformat())
    backup = await create_contract(cast, number="K-2", sla_target_pct=95)
    await assign_days(session, site, primary["id"], ago(7), None)
    await assign_days(session, site, backup["id"], ago(8), ago(3), role="backup")
    assert await targets(cast, site, 9, 2) == [None, 95, 99, 99, 95, 95, None]


async def test_a_withdrawn_assignment_counts_nothing(cast: Cast, session: AsyncSession) -> None:
    site = await site_since(session, cast, day(9))
    contract = await create_contract(cast)
    await assign_days(session, site, contract["id"], ago(5), withdrawn=True)
    assert await targets(cast, site, 5, 3) == [None, None]


async def test_a_month_is_closed_for_sites_that_were_under_a_contract_in_it(cast: Cast, session: AsyncSession) -> None:
    """The last day counts, the first day after it does not; nor does a contract that was not valid, or is withdrawn."""
    contract = await create_contract(cast, valid_from=MONTH.isoformat())
    sites = [await site_since(session, cast, START, AFTERWARDS) for _ in range(4)]
    within, before, after, withdrawn = sites
    await assign_days(session, within, contract["id"], NEXT - timedelta(days=1))
    await assign_days(session, before, contract["id"], date(2020, 1, 1), MONTH)
    await assign_days(session, after, contract["id"], NEXT)
    await assign_days(session, withdrawn, contract["id"], MONTH, withdrawn=True)
    assert [row[0] for row in await close(session, CLOSES)] == [within]
