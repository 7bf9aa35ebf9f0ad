"""`GET /audit`: the audit log as JSON pages or CSV."""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app.access import audit
from app.access.audit import AuditFilter
from app.access.models import Audit, Audited, Source
from app.access.scope import Caller, require_region
from app.core.tables import MOMENT, Column, Language, Table
from app.core.tabular import BOM, CSV_TYPE, Separator, attachment_headers, csv_text
from app.postgres.read_replica import ReadReplica
from app.registry import store as registry
from app.registry.params import RegionCode
from app.web.deps import Admin, ReadSession, Session
from app.web.pagination import BY_ID, Page
from app.web.params import MAX_LIMIT, Cursor
from app.web.period_params import BoundsParam
from app.web.problem_details import problems
from app.web.table_files import FileLanguage

router = APIRouter(tags=["access"])

AuditLimit = Annotated[
    int | None, Query(ge=1, le=MAX_LIMIT, description="items per page; default 100, in CSV all", examples=[100])
]
Word = Annotated[str | None, Query(min_length=1, max_length=100)]

CHUNK = 1000
EXAMPLE: dict[str, Any] = {
    "id": 31,
    "at": "2026-11-24T05:00:00Z",
    "actor": "sari",
    "account_id": 3,
    "token_id": 12,
    "token_name": "Excel of the province",
    "source": "api",
    "address": "198.51.100.7",
    "action": "change",
    "object": "contract",
    "object_id": "7",
    "region_code": None,
    "reason": "addendum 2 of 20 November",
    "before": {"sla_target_pct": 99.0},
    "after": {"sla_target_pct": 98.5},
}


class AuditFormat(StrEnum):
    """`json`: pages; `csv`: all entries as a table."""

    JSON = "json"
    CSV = "csv"


class AuditOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    id: int
    at: datetime
    actor: str = Field(description="the username, also of a token's owner; two words where no account is behind it")
    account_id: int | None
    token_id: int | None = Field(description="null: in a session of the console")
    token_name: str | None = Field(description="name of that token")
    source: Source
    address: str | None = Field(description="where the request came from")
    action: str = Field(description="what was done, such as create, change or export")
    object: Audited
    object_id: str = Field(description="id of that object")
    region_code: str | None = Field(description="null: concerns the whole province")
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


TABLE = Table(
    None,
    (
        Column("id", "Nomor", "Number"),
        Column("at", "Waktu", "Time", MOMENT),
        Column("actor", "Pelaku", "Actor"),
        Column("account_id", "Nomor akun", "Account number"),
        Column("token_id", "Nomor token", "Token number"),
        Column("token_name", "Nama token", "Token name"),
        Column("source", "Sumber", "Source"),
        Column("address", "Alamat", "Address"),
        Column("action", "Tindakan", "Action"),
        Column("object", "Objek", "Object"),
        Column("object_id", "Nomor objek", "Object number"),
        Column("region_code", "Kode wilayah", "Region code"),
        Column("reason", "Alasan", "Reason"),
        Column("before", "Sebelum", "Before"),
        Column("after", "Sesudah", "After"),
    ),
    (),
)


async def parse_filter(
    session: Session,
    bounds: BoundsParam,
    object: Audited | None = None,
    object_id: Word = None,
    actor: Word = None,
    action: Word = None,
    source: Source | None = None,
    region: RegionCode = None,
) -> AuditFilter:
    """A site is found by its id and by its code: entries name it by either."""
    object_ids: tuple[str, ...] | None = None if object_id is None else (object_id,)
    if object is Audited.SITE and object_id is not None:
        object_ids = await registry.both_idents(session, object_id)
    return AuditFilter(object, object_ids, actor, action, source, region, *bounds)


@router.get(
    "/audit",
    response_model=Page[AuditOut],
    responses=problems(403)
    | {
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
    },
)
async def list_audit(
    session: ReadSession,
    caller: Admin,
    request: Request,
    criteria: Annotated[AuditFilter, Depends(parse_filter)],
    language: FileLanguage,
    format: Annotated[AuditFormat | None, Query(description="default: by Accept")] = None,
    limit: AuditLimit = None,
    cursor: Cursor = None,
    separator: Annotated[Separator, Query(description="of CSV")] = Separator.COMMA,
    accept: Annotated[str | None, Header()] = None,
) -> Any:
    """Audit log: who changed what.

    Entries within your region, newest first.
    """
    before = BY_ID.read(cursor)
    if format is AuditFormat.CSV or (format is None and "text/csv" in (accept or "")):
        if criteria.region is not None:
            require_region(caller, criteria.region)
        lines = _csv(
            request.app.state.reads,
            criteria,
            caller=caller,
            before=before,
            limit=limit,
            language=language,
            separator=separator,
        )
        return StreamingResponse(lines, media_type=CSV_TYPE, headers=attachment_headers("jejak-audit", "csv"))
    limit = limit or 100
    entries = await audit.list_entries(session, criteria, caller=caller, before=before, limit=limit + 1)
    page, next_cursor = BY_ID.page(entries, limit, lambda entry: entry.id)
    return {"items": page, "next_cursor": next_cursor}


async def _csv(
    reads: ReadReplica,
    criteria: AuditFilter,
    *,
    caller: Caller,
    before: int | None,
    limit: int | None,
    language: Language,
    separator: Separator,
) -> AsyncIterator[str]:
    """All entries in chunks, or one chunk of `limit`.

    Each is read in a transaction of its own, so that none stays open while a client reads slowly.
    """
    yield BOM + csv_text([TABLE.header(language)], separator)
    more = True
    while more:
        async with reads.transaction() as session:
            entries = await audit.list_entries(session, criteria, caller=caller, before=before, limit=limit or CHUNK)
        yield csv_text(TABLE.cells(map(_row, entries), language), separator)
        more = limit is None and len(entries) == CHUNK
        before = entries[-1].id if entries else None


def _row(entry: Audit) -> dict[str, Any]:
    return {name: _cell(getattr(entry, name)) for name in AuditOut.model_fields}


def _cell(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict) else value
