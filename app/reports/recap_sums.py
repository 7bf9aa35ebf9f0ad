"""Adds up the issued reports of a contract and year. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from app.availability.percent import percent
from app.contracts.restitution_amounts import RestitutionStatus
from app.core.clock import WITA, midnight, month_of
from app.core.periods import Period, first_of_next_month
from app.core.words import in_words
from app.reports.figure_schemas import ReportSite
from app.reports.recap_schemas import FORMAT, RecapData, RecapMonth
from app.reports.report_totals import add_seconds
from app.reports.schemas import ReportData

IDR = ("restitution_idr", "least_idr", "most_idr")


class IssuedMonth(NamedTuple):
    """The latest issued report of a month."""

    report_id: int
    number: str
    corrects: str | None  # number of the report that it corrects
    sha256: str
    issued_at: datetime
    data: ReportData


def year_period(year: int) -> Period:
    return Period(midnight(date(year, 1, 1)), midnight(date(year + 1, 1, 1)))


def recap_data(fields: dict[str, Any], issued: Sequence[IssuedMonth], missing: Sequence[str]) -> RecapData:
    """Return the recapitulation of these months, in order; `fields`: contract, method, parties, period and the like."""
    months = [_month(each) for each in issued]
    seconds = add_seconds(months)
    warnings = []
    if missing:
        text = in_words("Not issued, and not part of the sums: {months}.", months=", ".join(missing))
        warnings.append({"code": "months_missing", **text})
    return RecapData.model_validate(
        fields
        | {
            "format": FORMAT,
            "months": months,
            "missing": list(missing),
            "sites": _sites(issued),
            "totals": {"months": len(months), **seconds, **_availability(seconds), **_rupiah(months)},
            "warnings": warnings,
            "simulated": any(each.data.simulated for each in issued),
        }
    )


def missing_months(valid: Period, issued: Sequence[IssuedMonth]) -> list[str]:
    """Return the months of the period that have no issued report."""
    have = {each.data.period.month for each in issued}
    month, missing = month_of(valid.start), []
    while midnight(month) < valid.end:
        if f"{month:%Y-%m}" not in have:
            missing.append(f"{month:%Y-%m}")
        month = first_of_next_month(month)
    return missing


def last_month_so_far(issued: Sequence[IssuedMonth], end: datetime) -> date | None:
    """Return the last issued month where more follow until `end`, of the year or of the contract in it; else None."""
    first_day = issued[-1].data.period.from_.astimezone(WITA).date()
    return first_day if midnight(first_of_next_month(first_day)) < end else None


def _availability(seconds: dict[str, Any]) -> dict[str, float | None]:
    known_s = seconds["service_s"] - seconds["unknown_s"]
    return {"availability_pct": percent(known_s - seconds["counted_down_s"], known_s)}


def _rupiah(months: Sequence[RecapMonth]) -> dict[str, int | None]:
    fees = [month.fee_idr for month in months if month.fee_idr is not None]
    payable = [month.payable_idr for month in months if month.payable_idr is not None]
    sums: dict[str, int | None] = {name: sum(getattr(month, name) for month in months) for name in IDR}
    return sums | {"fee_idr": sum(fees) if fees else None, "payable_idr": sum(payable) if payable else None}


def _month(issued: IssuedMonth) -> RecapMonth:
    totals = issued.data.totals
    seconds = add_seconds([totals])
    return RecapMonth.model_validate(
        {
            **seconds,
            **_availability(seconds),
            **{name: getattr(totals, name) for name in (*IDR, "fee_idr", "payable_idr", "sites")},
            "month": issued.data.period.month,
            "report_id": issued.report_id,
            "number": issued.number,
            "issued_at": issued.issued_at,
            "sha256": issued.sha256,
            "corrects": issued.corrects,
            "not_provable": totals.statuses.get(RestitutionStatus.NOT_PROVABLE, 0),
        }
    )


def _sites(issued: Sequence[IssuedMonth]) -> list[dict[str, Any]]:
    lines: dict[tuple[str, str], list[ReportSite]] = defaultdict(list)
    for each in issued:
        for line in each.data.sites:
            lines[line.code, line.link_role.value].append(line)
    return [_site(of_site) for _, of_site in sorted(lines.items())]


def _site(lines: Sequence[ReportSite]) -> dict[str, Any]:
    last, seconds = lines[-1], add_seconds(lines)
    fees = [line.fee_idr for line in lines if line.fee_idr is not None]
    return {
        **{name: getattr(last, name) for name in ("code", "name", "link_role", "village", "district")},
        "months": len(lines),
        **seconds,
        **_availability(seconds),
        "missed": sum(line.verdict == "missed" for line in lines),
        "fee_idr": sum(fees) if fees else None,
        "restitution_idr": sum(line.restitution.idr for line in lines),
    }
