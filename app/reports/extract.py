"""What of a data set an office sees: the lines of its region, and what is said of them. Pure."""

from app.access.scope import PROVINCE, covers
from app.reports.figure_schemas import ReportOutage
from app.reports.recap_schemas import RecapData
from app.reports.report_totals import add_up
from app.reports.schemas import ReportData

NO_PARENT = dict.fromkeys(name for name in ReportOutage.model_fields if name.startswith("parent_"))


def extract(data: ReportData | RecapData, region_code: str) -> ReportData | RecapData:
    """Return the data set, cut down to the lines of a region that is not the whole province.

    What is said of sites is left out with them, and so are objections and warnings that speak of the whole report.
    """
    if region_code == PROVINCE or isinstance(data, RecapData):  # offices see no recapitulation (`drafts.put_data`)
        return data
    lines = [line for line in data.sites if covers(region_code, line.village_code)]
    codes = {line.code for line in lines}
    return data.model_copy(
        update={
            "sites": lines,
            "totals": add_up(lines),
            "outages": [_own(outage, region_code) for outage in data.outages if outage.site in codes],
            "objections": [objection for objection in data.objections if objection.site in codes],
            "warnings": [warning for warning in data.warnings if warning.code in {"simulated", "terms_changed"}],
            "corrects": data.corrects and data.corrects.model_copy(update={"changes": []}),
        }
    )


def _own(outage: ReportOutage, region_code: str) -> ReportOutage:
    """Return the outage without the node that it was behind, if that is in another region."""
    if outage.parent_code is None or covers(region_code, outage.parent_code.partition("-")[0]):
        return outage
    return outage.model_copy(update=NO_PARENT)
