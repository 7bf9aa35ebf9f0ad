import asyncio

from fastapi import APIRouter, Response

from app.access.scope import PROVINCE
from app.core.errors import NotFound
from app.core.tabular import CSV_TYPE
from app.reports import store
from app.reports.data_rows import read_data
from app.reports.extract import extract
from app.reports.params import FileName, ReportFile
from app.reports.report_files import report_files
from app.web.deps import Reader, Session
from app.web.params import RowId
from app.web.problem_details import problems

router = APIRouter(prefix="/reports/{id}/files", tags=["reports"])

RESPONSES = problems(404) | {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        }
    }
}


@router.get("/{file}", responses=RESPONSES, response_class=Response)
async def get_report_file(session: Session, caller: Reader, id: RowId, file: FileName) -> Response:
    """One of the files of a report's data set.

    The same bytes each time, as they are attached to the PDF: `sha256` of the report is over the list of their SHA-256
    as `sha256sum` prints it, by name. An office of a district gets the lines of its region.
    """
    report = await store.get_report(session, id, caller=caller)
    files = await asyncio.to_thread(lambda: report_files(extract(read_data(report), caller.region_code)))
    content = files.get(file.value)
    if content is None:
        raise NotFound("This report has no file {given}", values={"given": file.value})
    media_type = "application/json" if file is ReportFile.METHOD else CSV_TYPE
    stem = report.number or f"draf-{report.id}"
    if caller.region_code != PROVINCE:
        stem += f"-{caller.region_code}"
    headers = {"Content-Disposition": f'attachment; filename="{stem}-{file.value}"'}
    return Response(content, media_type=media_type, headers=headers)
