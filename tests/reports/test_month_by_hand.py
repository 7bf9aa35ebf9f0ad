"""The month that docs/sla.md counts by hand, as a report: maintenance, claims, power, a parent, terms that change."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close
from app.core.clock import utc_now
from tests.conftest import Cast
from tests.support.sla_month import build_month
from tests.support.sla_page import SlaPage
from tests.support.uptime import get

HERE = ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s")


async def drafted(session: AsyncSession, cast: Cast, contract: int) -> Any:
    async with session.begin():
        while await monthly_close.close_months(session, utc_now()):
            pass
    draft = await cast.sari.post(f"/contracts/{contract}/reports", {"period": "2026-10"})
    assert draft.status_code == 201, draft.text
    return (await get(cast.sari, f"/reports/{draft.json()['id']}"))["data"]


async def test_a_report_has_the_seconds_that_the_page_counts(session: AsyncSession, cast: Cast) -> None:
    page = SlaPage("en")
    month = await build_month(session, cast, page)
    data = await drafted(session, cast, month.contract_id)
    (line,) = data["sites"]
    sums = {name: row["together"] for name, row in page.sums.items()}
    assert {name: line[name] for name in HERE} == {name: sums[name] for name in HERE}
    assert line["covered_s"] == sums["covered_s"]
    for stretch, name in zip(line["stretches"], ("until", "from"), strict=True):
        assert {each: stretch[each] for each in HERE} == {each: page.sums[each][name] for each in HERE}
    verdict = page.blocks["verdict"]
    assert (line["verdict"], line["missed_by_s"]) == (verdict["verdict"], verdict["missed_by_s"])
    assert (line["worst_pct"], line["best_pct"]) == (verdict["worst_pct"], verdict["best_pct"])


async def test_its_outages_add_up_and_tell_who_set_the_cause(session: AsyncSession, cast: Cast) -> None:
    page = SlaPage("en")
    month = await build_month(session, cast, page)
    data = await drafted(session, cast, month.contract_id)
    (line,) = data["sites"]
    assert sum(each["counted_s"] for each in data["outages"]) == line["counted_down_s"]
    for reason in ("power", "short", "parent"):
        assert sum(each["excluded"].get(reason, 0) for each in data["outages"]) == line["excluded"][reason]
    (power,) = [each for each in data["outages"] if each["cause"] == "power"]
    assert (power["cause_set_by"], power["ticket_no"]) == ("token ana", "PLN-88213")
    started = {datetime.fromisoformat(each["started_at"]) for each in data["outages"]}
    lines = [each for each in page.ledger if each.state in {"down", "unreachable"} and each.line != "a"]
    assert started == {each.started_at for each in lines}
