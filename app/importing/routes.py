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
from app.importing import kept_uploads, limited_process, report, report_content, response, sheets, store
from app.importing import upload as uploads
from app.importing.concurrency import run_in_thread
from app.importing.schemas import ImportOut
from app.importing.sheets import ParsedFile
from app.importing.store import ImportResult, SourceFile
from app.importing.upload import Upload
from app.postgres.engine import transaction
from app.web.account_queues import AccountQueues
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
Keep = Annotated[
    bool,
    Query(
        description="keep the file for an hour, the last one of each account: `upload` of the answer then stands for it"
    ),
]
FileName = Annotated[
    str | None,
    Query(
        max_length=200,
        description="the file's name for the audit, where the body is the file itself",
        examples=["kukar.xlsx"],
    ),
]
KeptId = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=60,
        description="`upload` of an earlier answer, in place of a body",
        examples=["c3VyYXQtanVhbGFu"],
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
    keep: Keep = False,
    upload: KeptId = None,
    name: FileName = None,
) -> Any:
    """Register and change sites from CSV or XLSX.

    All rows or none, unless `partial`. A blank cell changes nothing. A row is matched by `code`, else by village and
    service number, else by village and provider where that is one site. Importing the same file again changes nothing.
    """
    queues: AccountQueues = request.app.state.imports
    async with queues.hold(caller), _receive(request, upload, name or "", caller) as received:
        file = await run_in_thread(limited_process.run, sheets.read, received.path)
        if format is ImportFormat.XLSX and not dry_run:
            await run_in_thread(limited_process.run, report.require_loadable, received.path)
        if keep:
            upload = await _keep(request, received, caller)
        result, replayed = await _import(
            request,
            file,
            received,
            idempotency,
            caller=caller,
            dry_run=dry_run,
            partial=partial,
            probe=default_probe,
            reason=reason,
        )
        language = i18n.preferred_language(request.headers.get("accept-language"))
        answer = await _render(received, result, format, language, kept=upload)
    answer.headers["Content-Language"] = language
    if replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


@asynccontextmanager
async def _receive(request: Request, kept_id: str | None, name: str, caller: Caller) -> AsyncIterator[Upload]:
    """Store the uploaded file, or the kept one, while it is imported. Raises Invalid for a form without a file."""
    if kept_id is not None:
        async with transaction(request.app.state.sessions) as session:
            kept = await kept_uploads.get(session, kept_id, caller=caller)
        async with uploads.store(kept.name, kept_uploads.pieces(kept)) as upload:
            yield upload
        return
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with uploads.store(name, request.stream()) as upload:
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


async def _keep(request: Request, upload: Upload, caller: Caller) -> str:
    content = await run_in_thread(upload.path.read_bytes)
    async with transaction(request.app.state.sessions) as session:
        return await kept_uploads.keep(session, upload.name, upload.digest, content, caller=caller)


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


async def _render(
    upload: Upload, result: ImportResult, format: ImportFormat, language: str, *, kept: str | None
) -> Response:
    """Raises Invalid for a refused file. Rendering thousands of rows takes seconds, so it runs in a thread."""
    if result.refused:
        raise await run_in_thread(response.refusal, result, language=language)
    if format is ImportFormat.JSON:
        body = await run_in_thread(response.to_json, result, language=language, upload=kept)
        return Response(body, media_type="application/json")
    content = await run_in_thread(report_content.build, result, language=language)
    book = await run_in_thread(limited_process.run, report.write, upload.path, content)
    return Response(book, media_type=XLSX_TYPE, headers=attachment_headers("hasil-impor", "xlsx"))
