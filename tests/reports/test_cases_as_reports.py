"""Months computed by hand, written as ledgers, closed and drafted: the same seconds, fees and rupiah."""

from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from starlette.routing import BaseRoute

from app.availability import monthly_close
from app.core.clock import WITA, midnight, utc_now
from app.registry.models import Contract
from app.reports.data_set import month_data
from app.reports.paper_schemas import Parties
from app.reports.schemas import ReportData
from tests.reports.case_months import FILES, SIGNED, CaseMonth
from tests.support.shared_start import SharedStart, shared_start
from tests.support.site_histories import assign, execute, maintain, record_cause, site_since

SECONDS = ("covered_s", "service_s", "counted_down_s", "unknown_s")
BEGAN = timedelta(days=3)  # before the month


@pytest.fixture(scope="module")
async def reports(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[dict[str, ReportData]]:
    """The data sets of all cases by their files' names: all of them are written, then closed together."""
    cases = {file.stem: CaseMonth(file) for file in FILES}
    async with shared_start(engine, routes) as start:
        contracts = {name: await write(name, case, start) for name, case in cases.items()}
        async with start.session.begin():
            while await monthly_close.close_months(start.session, utc_now()):
                pass
        async with start.session.begin():
            drafted = {name: await report_of(cases[name], id, start.session) for name, id in contracts.items()}
        yield drafted


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_the_report_of_a_month_computed_by_hand_has_its_seconds_fees_and_rupiah(
    file: Path, reports: dict[str, ReportData]
) -> None:
    case, data = CaseMonth(file), reports[file.stem]
    assert len(data.sites) == len(case.sites)
    for line, site in zip(data.sites, case.sites, strict=True):
        due = line.restitution
        found = {"idr": due.idr, "least_idr": due.least_idr, "most_idr": due.most_idr, "status": due.status}
        assert [*map(shown, line.stretches)] == [*map(by_hand, site["stretches"])]
        assert found == site["restitution"], due.steps
    assert data.totals.restitution_idr == sum(site["restitution"]["idr"] for site in case.sites)


def shown(stretch: Any) -> dict[str, Any]:
    counted = {name: getattr(stretch, name) for name in SECONDS}
    return counted | {"terms_on": stretch.terms_on, "excluded": stretch.excluded, "fee": stretch.fee.removesuffix("/1")}


def by_hand(stretch: dict[str, Any]) -> dict[str, Any]:
    counted = {"unknown_s": 0, "excluded": {}} | stretch
    return {name: counted[name] for name in (*SECONDS, "terms_on", "excluded", "fee")}


async def write(name: str, case: CaseMonth, start: SharedStart) -> int:
    """Write the contract with its sites; return its id."""
    fields = {"number": name, "provider": "telkom-wms", "valid_from": SIGNED.isoformat(), **case.raw["contract"]}
    answer = await start.cast.sari.post("/contracts", fields)
    assert answer.status_code == 201, answer.text
    contract_id = int(answer.json()["id"])
    for addendum in case.raw.get("addenda", []):
        changed = await start.cast.sari.patch(f"/contracts/{contract_id}", addendum | {"reason": "Adendum"})
        assert changed.status_code == 200, changed.text
    for site in case.sites:
        await write_site(case, site, contract_id, start)
    return contract_id


async def write_site(case: CaseMonth, site: dict[str, Any], contract_id: int, start: SharedStart) -> None:
    """Register a site with its ledger, and put it under the contract on its days."""
    session, lines = start.session, site["ledger"]
    site_id = await site_since(session, start.cast, midnight(case.first) - BEGAN, *states(case, lines))
    for line in lines:
        bounds = line["from"].replace(tzinfo=WITA), line["to"].replace(tzinfo=WITA)
        if "cause" in line:
            await record_cause(session, site_id, *bounds, line["cause"])
        if line.get("maintenance"):
            await maintain(session, *bounds, site_id=site_id)
    for days in site["days"]:
        await assign(session, site_id, contract_id, days["from"], days.get("to"))
        if fee := days.get("monthly_fee_idr"):
            own = "UPDATE site_contract SET monthly_fee_idr = :fee WHERE site_id = :id AND started_on = :day"
            await execute(session, own, fee=fee, id=site_id, day=days["from"])


async def report_of(case: CaseMonth, contract_id: int, session: AsyncSession) -> ReportData:
    loaded = [joinedload(Contract.provider), selectinload(Contract.terms)]
    contract = await session.get_one(Contract, contract_id, options=loaded, populate_existing=True)
    return await month_data(session, contract, case.first, parties=Parties(), now=utc_now())


def states(case: CaseMonth, lines: list[dict[str, Any]]) -> Iterator[tuple[datetime, str]]:
    for line in lines:
        yield line["from"].replace(tzinfo=WITA), line["state"]
        yield line["to"].replace(tzinfo=WITA), "up"
    yield midnight(date(case.first.year, case.first.month + 1, 1)), "up"  # the open segment has evidence of today
