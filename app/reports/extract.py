"""What of a data set an office sees: the lines of its region, and what is said of them. Pure."""

from app.access.scope import PROVINCE, covers
from app.reports.recap_schemas import RecapData
from app.reports.report_totals import add_up
from app.reports.schemas import ReportData


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
            "outages": [outage for outage in data.outages if outage.site in codes],
            "objections": [objection for objection in data.objections if objection.site in codes],
            "warnings": [warning for warning in data.warnings if warning.code in {"simulated", "terms_changed"}],
            "corrects": data.corrects and data.corrects.model_copy(update={"changes": []}),
        }
    )
