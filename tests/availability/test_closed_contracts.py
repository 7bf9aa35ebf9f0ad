"""A closed month keeps what its contract counted, in figures and words; those closed earlier have none of it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast
from tests.support.monthly_close import AFTERWARDS, CLOSES, END, MONTH, START, close
from tests.support.site_histories import execute, set_states
from tests.support.uptime import get

MONTH_S = round((END - START).total_seconds())


async def shown(cast: Cast, site: int) -> Any:
    return (await get(cast.sari, f"/sites/{site}/uptime", period=f"{MONTH:%Y-%m}", step="month"))["total"]


async def recount(session: AsyncSession, site: int, times: int = 1) -> list[Any]:
    async with session.begin():
        await invalidation.invalidate(session, [DirtyRange(site, START, END)], reason="surat 17")
    return await close(session, CLOSES + timedelta(days=times))


async def test_a_closed_month_has_the_contract_beside_its_verdict(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    before = (await shown(cast, contracted))["contract"]
    await close(session, CLOSES)
    closed = await shown(cast, contracted)
    assert closed["closed_at"] is not None
    assert closed["contract"] == before
    assert (before["verdict"], before["service_s"], before["counted_down_s"]) == ("missed", MONTH_S, 4 * 3600)
    assert before["reason"]["en"].startswith("Missed by ")


async def test_a_correction_has_the_contract_by_what_became_known_later(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    await close(session, CLOSES)
    await set_states(session, contracted, (START, "up"), AFTERWARDS)
    await recount(session, contracted)
    closed = await shown(cast, contracted)
    assert (closed["contract"]["verdict"], closed["contract"]["counted_down_s"]) == ("missed", 4 * 3600)
    corrected = closed["correction"]["contract"]
    assert (corrected["verdict"], corrected["counted_down_s"]) == ("met", 0)


async def test_the_outages_of_a_closed_month_say_that_they_are_as_known_now(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    url, period = f"/sites/{contracted}/contract-outages", f"{MONTH:%Y-%m}"
    assert (await get(cast.sari, url, period=period))["closed_at"] is None
    await close(session, CLOSES)
    await set_states(session, contracted, (START, "up"), AFTERWARDS)
    answer = await get(cast.sari, url, period=period)
    assert datetime.fromisoformat(answer["closed_at"]) == CLOSES
    assert (answer["contracts"][0]["verdict"], answer["items"]) == ("met", [])
    annex = await cast.sari.get(url, params={"period": period, "format": "csv", "lang": "en"})
    assert annex.status_code == 200
    assert (await get(cast.sari, url, **{"from": START, "to": CLOSES}))["closed_at"] is None


async def test_another_name_or_other_words_are_no_correction(session: AsyncSession, contracted: int) -> None:
    closed = await close(session, CLOSES)
    await execute(
        session,
        "UPDATE contract SET number = 'K-baru'",
        "UPDATE closed_month SET figures = jsonb_set(figures, '{contract,reason,en}', '\"In other words\"')",
    )
    assert len(await recount(session, contracted)) == len(closed)


async def test_a_month_closed_before_contracts_were_stored_has_none_and_is_corrected_by_its_figures_alone(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    await close(session, CLOSES)
    await execute(session, "UPDATE closed_month SET figures = figures - 'contract' - 'contracts'")
    assert len(await recount(session, contracted)) == 1
    closed = await shown(cast, contracted)
    assert (closed["sla_verdict"], closed["contract"], closed["contracts"]) == ("missed", None, [])


async def test_a_contract_taken_away_afterwards_is_a_correction(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    await close(session, CLOSES)
    await execute(session, "UPDATE site_contract SET withdrawn_at = now()")
    await recount(session, contracted)
    closed = await shown(cast, contracted)
    assert (closed["sla_verdict"], closed["correction"]["sla_verdict"]) == ("missed", None)
    assert closed["correction"]["contract"] is None
    async with session.begin():
        assert list(await session.scalars(text("SELECT reason FROM month_correction"))) == ["surat 17"]
