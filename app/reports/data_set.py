"""Builds the data set of a contract and month: the closed figures as lines, with fees, restitution and outages."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.fee_store import fees_of_month
from app.core.periods import Period, whole_month
from app.measurements.simulated_past import simulated_until
from app.postgres.engine import among
from app.registry.models import Contract, Provider, Site
from app.reports import method, report_terms
from app.reports.closed_lines import ClosedLine, closed_lines, closes_at
from app.reports.figure_schemas import ReportSite
from app.reports.paper_schemas import Corrects, Parties, ReportObjection, ReportTerms
from app.reports.report_lines import MonthOfContract, report_line
from app.reports.report_totals import add_up
from app.reports.report_warnings import warnings_of
from app.reports.schemas import FORMAT, ReportData
from app.telemetry import disagreements
from app.telemetry.disagreements import SiteDisagreement


async def month_data(
    session: AsyncSession,
    contract: Contract,
    month: date,
    *,
    parties: Parties,
    objections: Sequence[ReportObjection] = (),
    corrects: Corrects | None = None,
    now: datetime,
) -> ReportData:
    """Return the data set as of now; `contract` with its provider and terms loaded.

    Raises Conflict where the month is not over, not closed, or being counted again, or without sites.
    """
    lines = await closed_lines(session, contract, month, now=now)
    period = whole_month(month)
    sites = select(Site.id, Site.code, Site.name, Site.service_no)
    rows = await session.execute(sites.where(among(Site.id, {line.site_id for line in lines})))
    providers = await session.execute(select(Provider.id, Provider.name))
    shared = MonthOfContract(
        contract.id,
        period,
        {terms.started_on: terms for terms in contract.terms},
        await fees_of_month(session, contract, period),
        {row.id: row for row in rows},
        {row.id: row.name for row in providers},
    )
    differing = await disagreements.sum_by_site(session, {line.site_id for line in lines if not line.is_gone}, period)
    until = await simulated_until(session)
    fields = {
        "format": FORMAT,
        "method": method.method_fields(),
        "contract": report_terms.contract_fields(contract, period),
        "parties": parties,
        "period": period_fields(period, f"{month:%Y-%m}"),
        "as_of": now,
        "objections": list(objections),
        "corrects": corrects,
        "simulated": until is not None and period.start < until,
    }
    return await asyncio.to_thread(_assemble, shared, lines, fields, differing)


def _assemble(
    month: MonthOfContract,
    closed: Sequence[ClosedLine],
    fields: dict[str, Any],
    differing: Sequence[SiteDisagreement],
) -> ReportData:
    ordered = sorted(closed, key=lambda line: (month.sites[line.site_id].code, line.link_role.value))
    codes = [month.sites[line.site_id].code for line in ordered]
    kept = [(line, code) for line, code in zip(ordered, codes, strict=True) if not line.is_gone]
    lines = [ReportSite.model_validate(report_line(month, line)) for line, _ in kept]
    terms = [ReportTerms.model_validate(each) for each in fields["contract"]["terms"]]
    return ReportData.model_validate(
        fields
        | {
            "closed_at": max(
                (line.closed_at for line, _ in kept if line.closed_at is not None), default=closes_at(month.period)
            ),
            "sites": lines,
            "totals": add_up(lines),
            "outages": [{**outage, "site": code} for line, code in kept for outage in line.outages],
            "warnings": [
                *warnings_of(
                    lines,
                    ordered,
                    codes,
                    terms,
                    month.fees,
                    disagreements=differing,
                    month_end=month.period.end,
                    simulated=fields["simulated"],
                )
            ],
        }
    )


def period_fields(period: Period, name: str) -> dict[str, Any]:
    seconds = round((period.end - period.start).total_seconds())
    return {"month": name, "from": period.start, "to": period.end, "seconds": seconds}
