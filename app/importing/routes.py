"""`POST /sites/import`: the district's spreadsheet, every wrong row explained before anything is written."""

import hashlib
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from app.core import i18n
from app.core.errors import Fault, Invalid
from app.core.tabular import XLSX_TYPE, attachment_headers
from app.importing import report, response, sheets, store
from app.importing.concurrency import aside
from app.importing.schemas import ImportOut
from app.importing.store import File
from app.importing.turns import Turns
from app.web.deps import Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.problem_details import problems

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
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


class Format(StrEnum):
    JSON = "json"
    XLSX = "xlsx"


class Sent(BaseModel):
    """What makes two requests the same."""

    digest: str
    partial: bool


Dry = Annotated[bool, Query(description="only tell what would happen")]
Partial = Annotated[bool, Query(description="write the rows that are right although others are wrong")]
As = Annotated[Format, Query(description="xlsx: the file given back, with result and suggestion columns")]


@router.post(
    "/sites/import",
    response_model=ImportOut,
    openapi_extra=BODY,
    responses={**problems(400, 403, 413), 200: {"content": {XLSX_TYPE: BINARY}}},
)
async def import_sites(
    session: Session,
    caller: Writer,
    request: Request,
    idempotency: IdempotencyKey,
    dry_run: Dry = False,
    partial: Partial = False,
    format: As = Format.JSON,
) -> Any:
    """Registers and changes sites from CSV or XLSX: all rows or none, unless `partial`. A blank cell changes nothing.

    A row is matched by `code`, else by village and service number, else by village and provider where that is one
    site. The same file again changes nothing.
    """
    turns: Turns = request.app.state.imports
    async with turns.of(caller):
        name, data = await _file(request)
        book = await aside(sheets.read, data)
        sent = Sent(digest=hashlib.sha256(data).hexdigest(), partial=partial)
        done = not dry_run and await idempotency.find(session, sent, caller=caller) is not None
        outcome = await store.run(
            session,
            book,
            File(name, sent.digest),
            caller=caller,
            policy=request.app.state.policy,
            dry_run=dry_run or done,
            partial=partial,
        )
        spoken = i18n.preferred_language(request.headers.get("accept-language"))
        headers = {"Content-Language": spoken}
        if done:
            headers["Idempotent-Replayed"] = "true"
            outcome = replace(outcome, dry_run=False, applied=True)
        elif outcome.applied:
            await idempotency.record(session, sent, 0, caller=caller)
        elif not dry_run:
            raise response.refusal(outcome, spoken=spoken)
        if format is Format.XLSX:
            back = await aside(report.write, data, outcome, spoken=spoken)
            return Response(back, media_type=XLSX_TYPE, headers=headers | attachment_headers("hasil-impor", "xlsx"))
    return Response(
        orjson.dumps(response.present(outcome, spoken=spoken)), media_type="application/json", headers=headers
    )


async def _file(request: Request) -> tuple[str, bytes]:
    """Its name, where it has one, and what it holds. Raises Invalid when there is none."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return "", await request.body()
    async with request.form(max_files=1, max_fields=10) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Invalid(Fault("file", "missing", "The form has no file", "Send it in the field `file`"))
        return (file.filename or "").replace("\0", "")[:200], await file.read()
