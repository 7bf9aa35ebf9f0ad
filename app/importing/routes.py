"""`POST /sites/import`: import a spreadsheet, with every wrong row explained before anything is written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from app.access.scope import Caller
from app.core import i18n
from app.core.errors import Fault, Invalid
from app.core.tabular import XLSX_TYPE, attachment_headers
from app.importing import limited_process, report, report_content, response, sheets, store
from app.importing import upload as uploads
from app.importing.concurrency import AccountQueues, run_in_thread
from app.importing.schemas import ImportOut
from app.importing.sheets import ParsedFile
from app.importing.store import ImportResult, SourceFile
from app.importing.upload import Upload
from app.postgres.engine import transaction
from app.web.deps import Writer
from app.web.idempotency import Idempotency, IdempotencyKey
from app.web.problem_details import problems
from probes.contract import ProbeKind

router = APIRouter(tags=["registry"])

BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": BINARY,
            XLSX_TYPE: BINARY,
            "application/octet-stream": BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "CSV or XLSX",
                            "examples": ["kukar.csv"],
                        }
                    },
                }
            },
        },
    }
}


class ImportFormat(StrEnum):
    """`json`: the report; `xlsx`: the file with result and suggestion columns added."""

    JSON = "json"
    XLSX = "xlsx"


class ImportKey(BaseModel):
    """Two requests with the same idempotency key must agree in these."""

    digest: str
    partial: bool
    default_probe: ProbeKind | None
    reason: str | None


DryRun = Annotated[bool, Query(description="only report what would happen")]
Partial = Annotated[bool, Query(description="write the correct rows although others are wrong")]
DefaultProbe = Annotated[
    ProbeKind | None,
    Query(
        description="how new sites are probed in a sheet without that column; by default icmp with a host, push without"
    ),
]
Reason = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=500,
        description="required if rows put sites under a contract for days before today; recorded and audited",
        examples=["addendum 2 of 20 November"],
    ),
]
As = Annotated[ImportFormat, Query(description="xlsx: the file with result and suggestion columns added")]


@router.post(
    "/sites/import",
    response_model=ImportOut,
    openapi_extra=BODY,
    responses={**problems(400, 403, 413, 429), 200: {"content": {XLSX_TYPE: BINARY}}},
)
async def import_sites(
    caller: Writer,
    request: Request,
    idempotency: IdempotencyKey,
    dry_run: DryRun = False,
    partial: Partial = False,
    default_probe: DefaultProbe = None,
    reason: Reason = None,
    format: As = ImportFormat.JSON,
) -> Any:
    """Register and change sites from CSV or XLSX.

    All rows or none, unless `partial`. A blank cell changes nothing. A row is matched by `code`, else by village and
    service number, else by village and provider where that is one site. Importing the same file again changes nothing.
    """
    queues: AccountQueues = request.app.state.imports
    async with queues.hold(caller), _receive(request) as upload:
        file = await run_in_thread(limited_process.run, sheets.read, upload.path)
        if format is ImportFormat.XLSX and not dry_run:
            await run_in_thread(limited_process.run, report.require_loadable, upload.path)
        result, replayed = await _import(
            request,
            file,
            upload,
            idempotency,
            caller=caller,
            dry_run=dry_run,
            partial=partial,
            probe=default_probe,
            reason=reason,
        )
        language = i18n.preferred_language(request.headers.get("accept-language"))
        answer = await _render(upload, result, format, language)
    answer.headers["Content-Language"] = language
    if replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


@asynccontextmanager
async def _receive(request: Request) -> AsyncIterator[Upload]:
    """Store the uploaded file while it is imported. Raises Invalid for a form without a file."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with uploads.store("", request.stream()) as upload:
            yield upload
        return
    async with request.form(max_files=1, max_fields=10) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Invalid(Fault("file", "missing", "The form has no file", "Send it in the field `file`"))
        async with uploads.store((file.filename or "").replace("\0", "")[:200], _pieces(file)) as upload:
            yield upload


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(uploads.PIECE_BYTES):
        yield piece


async def _import(
    request: Request,
    file: ParsedFile,
    upload: Upload,
    idempotency: Idempotency,
    *,
    caller: Caller,
    dry_run: bool,
    partial: bool,
    probe: ProbeKind | None,
    reason: str | None,
) -> tuple[ImportResult, bool]:
    """Return the result, and whether the request was a replay. The transaction, and with it the lock that all
    writers of the registry wait for, ends here, before anything is rendered."""
    async with transaction(request.app.state.sessions) as session:
        key = ImportKey(digest=upload.digest, partial=partial, default_probe=probe, reason=reason)
        replayed = not dry_run and await idempotency.find(session, key, caller=caller) is not None
        result = await store.import_rows(
            session,
            file,
            SourceFile(upload.name, upload.digest),
            caller=caller,
            policy=request.app.state.policy,
            dry_run=dry_run or replayed,
            partial=partial,
            probe=probe,
            reason=reason,
        )
        if replayed:
            return replace(result, dry_run=False, applied=True), True
        if result.applied:
            await idempotency.record(session, key, 0, caller=caller)
    return result, False


async def _render(upload: Upload, result: ImportResult, format: ImportFormat, language: str) -> Response:
    """Raises Invalid for a refused file. Rendering thousands of rows takes seconds, so it runs in a thread."""
    if result.refused:
        raise await run_in_thread(response.refusal, result, language=language)
    if format is ImportFormat.JSON:
        body = await run_in_thread(response.to_json, result, language=language)
        return Response(body, media_type="application/json")
    content = await run_in_thread(report_content.build, result, language=language)
    book = await run_in_thread(limited_process.run, report.write, upload.path, content)
    return Response(book, media_type=XLSX_TYPE, headers=attachment_headers("hasil-impor", "xlsx"))
