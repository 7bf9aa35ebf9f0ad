"""Data sets as a report's row keeps them: to the byte, with the hash of their files and their sums."""

from typing import Any

import orjson

from app.access.scope import PROVINCE
from app.reports.extract import extract
from app.reports.models import Report
from app.reports.recap_schemas import RecapData
from app.reports.report_files import data_hash, report_files
from app.reports.schemas import ReportData

Data = ReportData | RecapData
SECONDS = ("service_s", "counted_down_s", "unknown_s")
RUPIAH = ("fee_idr", "restitution_idr", "least_idr", "most_idr", "payable_idr")
YEAR_LENGTH = 4


def read_data(report: Report) -> Data:
    """Return the data set of a report."""
    kind = RecapData if len(report.period) == YEAR_LENGTH else ReportData
    data: Data = kind.model_validate_json(report.data)
    return data


def visible_data(report: Report, region_code: str) -> str:
    """Return the data set as JSON as an office of that region sees it; the province to the byte as it is stored."""
    return report.data if region_code == PROVINCE else canonical(extract(read_data(report), region_code))


def write_data(report: Report, data: Data) -> None:
    """Set the data set of a draft, and what follows from it. Offices see no recapitulation: it has no villages."""
    report.data = canonical(data)
    report.sha256 = data_hash(report_files(data))
    report.method = data.method.version
    report.totals = {"sites": len(data.sites), **{name: getattr(data.totals, name) for name in SECONDS + RUPIAH}}
    lines = data.sites if isinstance(data, ReportData) else []
    report.village_codes = sorted({line.village_code for line in lines})


def canonical(data: Data) -> str:
    """Return the data set as JSON, the same for the same data."""
    return orjson.dumps(data.model_dump(mode="json", by_alias=True)).decode()


def is_same(one: Data, other: Data) -> bool:
    """Whether two data sets say the same, whenever they were made."""
    return _compared(one) == _compared(other)


def _compared(data: Data) -> dict[str, Any]:
    return data.model_dump(mode="json", by_alias=True, exclude={"as_of"})
