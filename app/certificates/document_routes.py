"""`GET /certificates/{id}/document` as a PDF, and the files inside it."""

import asyncio
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from app.certificates import store
from app.certificates.certificate_files import certificate_files
from app.certificates.paper import certificate_pdf, read_certificate
from app.core.tabular import CSV_TYPE
from app.postgres.engine import transaction
from app.web.account_queues import AccountQueues
from app.web.deps import Reader, Session
from app.web.params import RowId
from app.web.problem_details import problems
from app.web.table_files import FileSlots

router = APIRouter(prefix="/certificates/{id}", tags=["reports"])

PDF_TYPE = "application/pdf"
UNPACKED = {"Content-Encoding": "identity"}  # it is compressed already


class CertificateFile(StrEnum):
    """`hours.csv`: a row an hour; `tests.csv`: a row a speed test; `certificate.json`: site, method, sums, verdicts."""

    HOURS = "hours.csv"
    TESTS = "tests.csv"
    CERTIFICATE = "certificate.json"


@router.get(
    "/document",
    responses=problems(404, 409, 429)
    | {200: {"content": {PDF_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
    response_class=Response,
)
async def get_certificate_document(request: Request, caller: Reader, id: RowId) -> Response:
    """A certificate as a PDF, in Bahasa Indonesia.

    PDF/A-3 with its files inside: the same bytes each time. 409 while it runs.
    """
    state, slots = request.app.state, request.app.state.file_slots
    assert isinstance(slots, FileSlots)
    queues: AccountQueues = state.report_documents
    async with queues.hold(caller), slots.hold():
        async with transaction(state.sessions) as session:
            certificate = await store.get_certificate(session, id, caller=caller)
        pdf = await certificate_pdf(certificate, state.settings.public_base)
    disposition = {"Content-Disposition": f'attachment; filename="{certificate.number}.pdf"'}
    return Response(pdf, media_type=PDF_TYPE, headers=UNPACKED | disposition)


@router.get(
    "/files/{file}",
    responses=problems(404, 409)
    | {
        200: {
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
            }
        }
    },
    response_class=Response,
)
async def get_certificate_file(
    session: Session,
    caller: Reader,
    id: RowId,
    file: Annotated[CertificateFile, Path(description="which file", examples=["hours.csv"])],
) -> Response:
    """One of the files of a certificate's data set.

    The same bytes each time, as they are attached to the PDF: `sha256` of the certificate is over the list of their
    SHA-256 as `sha256sum` prints it, by name.
    """
    certificate = await store.get_certificate(session, id, caller=caller)
    data = read_certificate(certificate)
    content = (await asyncio.to_thread(certificate_files, data))[file.value]
    media_type = "application/json" if file is CertificateFile.CERTIFICATE else CSV_TYPE
    headers = {"Content-Disposition": f'attachment; filename="{certificate.number}-{file.value}"'}
    return Response(content, media_type=media_type, headers=headers)
