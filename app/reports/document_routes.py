"""`GET /reports/{id}/document`: a report as a PDF to be signed, as a page, or as a workbook."""

import asyncio
import gzip
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.tabular import XLSX_TYPE
from app.pages.responses import html_page
from app.postgres.engine import transaction
from app.reports import papers, store
from app.reports.paper_of_report import Paper, paper_of
from app.reports.refreshing import refresh
from app.web.account_queues import AccountQueues
from app.web.conditional import accepts_gzip
from app.web.deps import Reader
from app.web.params import RowId
from app.web.problem_details import problems
from app.web.table_files import FileLanguage, FileSlots

router = APIRouter(prefix="/reports/{id}/document", tags=["reports"])

PDF_TYPE = "application/pdf"
GZIP_LEVEL = 5
VARY = "Accept-Encoding, Accept-Language"
RESPONSES = problems(404, 429) | {
    200: {
        "content": {
            PDF_TYPE: {"schema": {"type": "string", "format": "binary"}},
            "text/html": {"schema": {"type": "string"}},
            XLSX_TYPE: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


class DocumentFormat(StrEnum):
    """`pdf`: PDF/A-3 with the data set's files inside, to be signed; `html`: the same to be read; `xlsx`: its lines."""

    PDF = "pdf"
    HTML = "html"
    XLSX = "xlsx"


@router.get("", responses=RESPONSES, response_class=Response)
async def get_report_document(
    request: Request,
    caller: Reader,
    id: RowId,
    language: FileLanguage,
    format: Annotated[DocumentFormat, Query(description="default `pdf`")] = DocumentFormat.PDF,
) -> Response:
    """A report as a paper, in Bahasa Indonesia (a workbook also in English).

    Of an issued report the same bytes each time. An office of a district gets an extract with the lines of its region,
    which is marked as such and has its own hash. A draft is marked on each page.
    """
    queues: AccountQueues = request.app.state.report_documents
    slots: FileSlots = request.app.state.file_slots
    async with queues.hold(caller), slots.hold():
        paper = await _read(request, id, caller)
        if format is DocumentFormat.HTML:
            base = request.scope.get("root_path", "")
            return html_page(await asyncio.to_thread(papers.paper_page, paper.data, paper.heading, base))
        headers = {"Content-Disposition": f'attachment; filename="{paper.name}.{format.value}"', "Vary": VARY}
        if format is DocumentFormat.XLSX:
            content = await papers.paper_workbook(paper.data, paper.heading, language)
            return Response(content, media_type=XLSX_TYPE, headers=headers | {"Content-Encoding": "identity"})
        content = await papers.paper_pdf(paper.data, paper.heading, paper.files)
        return await _sent_small(request, content, headers)


async def _sent_small(request: Request, pdf: bytes, headers: dict[str, str]) -> Response:
    """Compress a PDF off the event loop: the tags that read it aloud shrink to a fifth."""
    encoding = "identity"
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        pdf, encoding = await asyncio.to_thread(gzip.compress, pdf, GZIP_LEVEL, mtime=0), "gzip"
    return Response(pdf, media_type=PDF_TYPE, headers=headers | {"Content-Encoding": encoding})


async def _read(request: Request, report_id: int, caller: Caller) -> Paper:
    """Return a report's paper; a draft is brought up to date. The transaction is over before anything is typeset."""
    state = request.app.state
    async with transaction(state.sessions) as session:
        report = await store.get_report(session, report_id, caller=caller)
        await refresh(session, report, caller=caller, now=utc_now())
        return await asyncio.to_thread(paper_of, report, caller.region_code, state.settings.public_base)
