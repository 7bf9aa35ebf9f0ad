"""The sums of a berita acara's lines: seconds, verdicts, and rupiah. Pure."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from app.availability.percent import percent
from app.contracts.restitution_amounts import RestitutionStatus
from app.contracts.rupiah import round_half_up
from app.reports.figure_schemas import ReportSite, ReportTotals

SECONDS = ("covered_s", "service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s")
VERDICTS = ("met", "missed", "undetermined", "no_service")


def add_up(lines: Sequence[ReportSite]) -> ReportTotals:
    """Return the sums; fees are added up exactly and rounded once, restitutions are whole rupiah in each line."""
    fee = exact_fee(lines)
    fee_idr = None if fee is None else round_half_up(fee)
    restitution_idr = sum(line.restitution.idr for line in lines)
    verdicts = [line.verdict.value if line.verdict else "no_service" for line in lines]
    statuses = [line.restitution.status for line in lines]
    seconds = add_seconds(lines)
    return ReportTotals.model_validate(
        {
            **seconds,
            "sites": len(lines),
            "coverage_pct": percent(seconds["service_s"] - seconds["unknown_s"], seconds["service_s"]),
            "verdicts": {name: verdicts.count(name) for name in VERDICTS},
            "fee_idr": fee_idr,
            "sites_without_fee": sum(line.fee_idr is None for line in lines),
            "restitution_idr": restitution_idr,
            "least_idr": sum(line.restitution.least_idr for line in lines),
            "most_idr": sum(line.restitution.most_idr for line in lines),
            "payable_idr": None if fee_idr is None else fee_idr - restitution_idr,
            "statuses": {status.value: statuses.count(status) for status in RestitutionStatus},
        }
    )


def exact_fee(lines: Iterable[ReportSite]) -> Fraction | None:
    """Return the fees of all stretches added up, None if there is none."""
    fees = [Fraction(stretch.fee) for line in lines for stretch in line.stretches if stretch.fee is not None]
    return sum(fees, Fraction(0)) if fees else None


def add_seconds(rows: Iterable[Any]) -> dict[str, Any]:
    """Return the seconds of rows (of SecondsCounted) added up."""
    rows = list(rows)
    excluded: dict[str, int] = {}
    for row in rows:
        for reason, seconds in row.excluded.items():
            excluded[reason] = excluded.get(reason, 0) + seconds
    sums: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in SECONDS}
    return sums | {"excluded": dict(sorted(excluded.items()))}
