"""What a report says as of now: of a month by its closed figures, of a year by the reports that were issued."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Account
from app.core.clock import midnight
from app.core.errors import Conflict, Fault, Invalid
from app.core.periods import Period, parse_month, whole_month
from app.postgres.engine import among
from app.registry.models import Contract
from app.reports import basis, method, recap_sums, report_changes, report_terms, store
from app.reports.closed_lines import require_over
from app.reports.data_rows import Data, read_data
from app.reports.data_set import month_data, period_fields
from app.reports.models import Objection, Report, ReportStatus
from app.reports.paper_schemas import Corrects, Parties, ReportObjection
from app.reports.recap_sums import IssuedMonth, year_period
from app.reports.schemas import ReportData

FIRST_YEAR, LAST_YEAR = 2020, 2099


class MonthOrYear(NamedTuple):
    """A month by its first day, or a year."""

    month: date | None
    year: int

    def __str__(self) -> str:
        return f"{self.year}" if self.month is None else f"{self.month:%Y-%m}"

    @property
    def series(self) -> str:
        """Return the series of the numbers of its reports."""
        return f"RK-{self}" if self.month is None else f"BA-{self}"


def parse_report_period(text: str) -> MonthOrYear:
    """Parse `2026-10` or `2026`. Raises Invalid."""
    if (month := parse_month(text)) is not None and month.month is not None:
        return MonthOrYear(month.month, month.month.year)
    if text.isascii() and text.isdigit() and FIRST_YEAR <= int(text) <= LAST_YEAR:
        return MonthOrYear(None, int(text))
    raise Invalid(
        Fault(
            "period",
            "bad_period",
            "{given} is neither a month nor a year",
            "Write it like 2026-10 or 2026",
            values={"given": text[:40]},
        )
    )


def require_period_over(period: MonthOrYear, now: datetime) -> None:
    """Raises Conflict until a month may be closed. Of a year what is issued so far is added up, whenever that is."""
    if period.month is not None:
        require_over(period.month, now)


async def basis_of(session: AsyncSession, contract_id: int, period: MonthOrYear) -> str:
    if period.month is None:
        return await basis.basis_of_year(session, contract_id, period.year)
    return await basis.basis_of_month(session, contract_id, period.month)


async def figures_now(
    session: AsyncSession,
    contract: Contract,
    period: MonthOrYear,
    parties: Parties,
    *,
    objections: Sequence[ReportObjection] = (),
    corrected: Report | None = None,
    reason: str = "",
    now: datetime,
) -> Data:
    """Return the data set as of now, with what changed against the report that it corrects. Raises Conflict."""
    data: Data
    if period.month is not None:
        data = await month_data(session, contract, period.month, parties=parties, objections=objections, now=now)
    else:
        data = await _year_data(session, contract, period.year, parties, now)
        data = data.model_copy(update={"objections": list(objections)})
    if corrected is None:
        return data
    return data.model_copy(update={"corrects": _corrects(corrected, data, reason)})


def _corrects(corrected: Report, data: Data, reason: str) -> Corrects:
    return Corrects.model_validate(
        {
            "id": corrected.id,
            "number": corrected.number,
            "sha256": corrected.sha256,
            "reason": reason,
            "changes": report_changes.changes(read_data(corrected), data),
        }
    )


async def _year_data(session: AsyncSession, contract: Contract, year: int, parties: Parties, now: datetime) -> Data:
    period = year_period(year)
    issued = await _issued_months(session, contract.id, year)
    if not issued:
        raise Conflict(
            faults=[
                Fault(
                    "period",
                    "no_month_issued",
                    "No report of a month of {year} is issued under contract {number}",
                    "Issue a month first: a recapitulation adds up the months that are issued",
                    values={"year": year, "number": contract.number},
                )
            ]
        )
    low = max(period.start, midnight(contract.valid_from))
    high = period.end if contract.valid_to is None else min(period.end, midnight(contract.valid_to))
    through = recap_sums.last_month_so_far(issued, high)
    if through is not None:
        period = Period(period.start, whole_month(through).end)
    fields = {
        "method": method.method_fields(),
        "contract": report_terms.contract_fields(contract, period),
        "parties": parties,
        "period": period_fields(period, str(year)),
        "through": through and f"{through:%Y-%m}",
        "as_of": now,
        "objections": [],
        "corrects": None,
    }
    return recap_sums.recap_data(fields, issued, recap_sums.missing_months(Period(low, high), issued))


async def _issued_months(session: AsyncSession, contract_id: int, year: int) -> list[IssuedMonth]:
    """Return the latest issued report of each month of the year."""
    rows = await session.scalars(
        select(Report)
        .where(Report.contract_id == contract_id, Report.status == ReportStatus.ISSUED)
        .where(Report.period.startswith(f"{year}-"))
        .order_by(Report.period, Report.id)
    )
    latest: dict[str, IssuedMonth] = {}
    numbers: dict[int, str] = {}
    for row in rows:
        data = read_data(row)
        if row.number is None or row.issued_at is None or not isinstance(data, ReportData):
            continue
        numbers[row.id] = row.number
        corrects = None if row.corrects_id is None else numbers.get(row.corrects_id)
        latest[row.period] = IssuedMonth(row.id, row.number, corrects, row.sha256, row.issued_at, data)
    return list(latest.values())


async def objections_of(session: AsyncSession, report_id: int) -> list[ReportObjection]:
    return await present_objections(session, await store.list_objections(session, report_id))


async def present_objections(session: AsyncSession, rows: Sequence[Objection]) -> list[ReportObjection]:
    """Return objections with the names of the accounts that filed and decided; None for a token without one."""
    accounts = {account for row in rows for account in (row.filed_by, row.decided_by) if account is not None}
    found = await session.scalars(select(Account).where(among(Account.username, accounts)))
    names = {account.username: account.name for account in found}
    objections = [ReportObjection.model_validate(row, from_attributes=True) for row in rows]
    for each in objections:
        each.filed_by_name = names.get(each.filed_by)
        each.decided_by_name = None if each.decided_by is None else names.get(each.decided_by)
    return objections
