"""What the paper of a report shows to an office: data set or extract, files with their hash, heading."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.access.scope import PROVINCE
from app.registry import regions
from app.reports.data_rows import Data, read_data
from app.reports.extract import extract
from app.reports.models import Report, ReportStatus
from app.reports.paper_frame import PaperHeading
from app.reports.report_files import data_hash, report_files

VERIFICATION = "/verifikasi/"


class HashDiffers(Exception):
    """The files of an issued report are not those that it was issued with: a defect of ours, and never a paper."""


@dataclass(frozen=True, slots=True)
class Paper:
    """`name`: of its file, without the format."""

    name: str
    data: Data
    files: Mapping[str, bytes]
    heading: PaperHeading


def paper_of(report: Report, region_code: str, public_base: str | None) -> Paper:
    """Return the paper of a report for an office. Raises HashDiffers.

    `public_base`: the address of the service. A request's own is not taken: whoever asks could choose it.
    """
    is_whole = region_code == PROVINCE
    data = extract(read_data(report), region_code)
    files = report_files(data)
    sha256 = data_hash(files)
    if is_whole and report.status is ReportStatus.ISSUED and sha256 != report.sha256:
        raise HashDiffers(f"{report.number}: {sha256}, issued with {report.sha256}")
    heading = PaperHeading(
        number=report.number or f"Rancangan {report.id}",
        is_issued=report.status is ReportStatus.ISSUED,
        is_correction=report.corrects_id is not None,
        sha256=sha256,
        issued_at=report.issued_at,
        objections_until=report.objections_until,
        no_objections_at=report.no_objections_at,
        no_objections_by=report.no_objections_by,
        verify_code=report.verify_code,
        verify_url=public_base and f"{public_base}{VERIFICATION}{report.verify_code}",
        extract_of=None if is_whole else regions.names()[region_code],
    )
    name = report.number or f"rancangan-{report.id}"
    return Paper(name if is_whole else f"{name}-{region_code}", data, files, heading)
