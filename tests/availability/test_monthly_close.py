"""Closed months: written once, corrected beside."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import midnight
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast
from tests.support.monthly_close import AFTERWARDS, CLOSES, END, MONTH, NEXT, START, close
from tests.support.site_histories import execute, record_cause, set_states, site_since
from tests.support.uptime import get


async def test_a_contract_month_closes_eight_days_after_its_end_and_once(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    await site_since(session, cast, START - timedelta(days=3))  # without a contract
    assert await close(session, CLOSES - timedelta(seconds=1)) == []
    closed = await close(session, CLOSES)
    assert [row[:2] for row in closed] == [(contracted, MONTH)]
    assert closed[0][2]["sla_verdict"] == "missed"
    assert await close(session, CLOSES + timedelta(hours=1)) == closed


async def test_the_months_after_a_closed_one_are_closed_too(session: AsyncSession, cast: Cast, contracted: int) -> None:
    await close(session, CLOSES)
    next_closes = midnight((NEXT + timedelta(days=31)).replace(day=1)) + timedelta(days=8)
    closed = await close(session, next_closes)
    assert [row[:2] for row in closed] == [(contracted, MONTH), (contracted, NEXT)]


async def test_late_data_is_a_correction_beside_the_closed_month(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    before = (await get(cast.sari, f"/sites/{contracted}/uptime", period=f"{MONTH:%Y-%m}", step="month"))["total"]
    assert (before["closed_at"], before["correction"]) == (None, None)
    closed = await close(session, CLOSES)
    outage = START + timedelta(days=9)
    await set_states(
        session, contracted, (START, "up"), (outage, "down"), (outage + timedelta(hours=2), "up"), AFTERWARDS
    )
    for times in (1, 2):
        async with session.begin():
            await invalidation.invalidate(
                session, [DirtyRange(contracted, outage, outage + timedelta(hours=4))], reason="late readings"
            )
        rows = await close(session, CLOSES + timedelta(days=times))
        assert rows[:1] == closed
        assert [row[:2] for row in rows[1:]] == [(contracted, "late readings")]  # the second time nothing differs
    whole = await get(cast.sari, f"/sites/{contracted}/uptime", period=f"{MONTH:%Y-%m}", step="month")
    around = await get(
        cast.sari,
        f"/sites/{contracted}/uptime",
        step="month",
        **{"from": START - timedelta(days=1), "to": END + timedelta(days=1)},
    )
    assert [row["closed_at"] is not None for row in around["series"]] == [False, True, False]
    assert around["total"]["seconds"]["down"] == 2 * 3600
    for row in (whole["total"], whole["series"][0], around["series"][1]):
        assert {name: row[name] for name in before if name not in {"closed_at", "correction"}} == {
            name: before[name] for name in before if name not in {"closed_at", "correction"}
        }
        assert datetime.fromisoformat(row["closed_at"]) == CLOSES
        assert row["seconds"]["down"] == 4 * 3600
        corrected = row["correction"]
        assert (corrected["seconds"]["down"], corrected["reason"]) == (2 * 3600, "late readings")
        assert corrected["sla_verdict"] == "met"
    by_day = await get(cast.sari, f"/sites/{contracted}/uptime", period=f"{MONTH:%Y-%m}", step="day")
    assert {row["closed_at"] for row in by_day["series"]} == {None}


async def test_a_change_that_leaves_the_figures_equal_is_no_correction(session: AsyncSession, contracted: int) -> None:
    closed = await close(session, CLOSES)
    async with session.begin():
        await invalidation.invalidate(session, [DirtyRange(contracted, START, END)])
    assert await close(session, CLOSES + timedelta(days=1)) == closed


async def test_a_correction_gives_every_reason_since_the_last_one_and_no_name(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    await close(session, CLOSES)
    outage = START + timedelta(days=9)
    await record_cause(session, contracted, outage, outage + timedelta(hours=4), "power")
    async with session.begin():
        for reason in ("late readings", "typing error", "late readings"):
            await invalidation.invalidate(session, [DirtyRange(contracted, outage, END)], reason=reason)
    await execute(session, "UPDATE contract_terms SET excluded_causes = '{power}'")
    rows = await close(session, CLOSES + timedelta(days=1))
    assert [row[1] for row in rows[1:]] == ["cause power; late readings; typing error"]
