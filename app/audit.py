"""`GET /audit`: what was changed, by whom, and why."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.access import audit
from app.http import Admin, Cursor, Limit, Page, Session, next_page, read_cursor, row_id
from app.problems import problems

router = APIRouter(tags=["access"])

Word = Annotated[str | None, Query(min_length=1, max_length=100)]

EXAMPLE: dict[str, Any] = {
    "id": 31, "at": "2026-11-24T05:00:00Z", "actor": "sari", "action": "change", "object": "contract", "object_id": "7",
    "region_code": None, "reason": "addendum 2 of 20 November", "before": {"sla_target_pct": 99.0},
    "after": {"sla_target_pct": 98.5},
}  # fmt: skip


class AuditOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    id: int
    at: datetime
    actor: str = Field(description="the name of the token or account")
    action: str
    object: str = Field(description="what kind of thing: contract, maintenance, …")
    object_id: str
    region_code: str | None = Field(description="null: a matter of the whole province")
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@router.get("/audit", response_model=Page[AuditOut], responses=problems(403))
async def list_audit(
    session: Session, caller: Admin, object: Word = None, actor: Word = None, limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:  # fmt: skip
    """Newest first. Admins read what lies within their region."""
    found = await audit.list_entries(
        session, caller=caller, object=object, actor=actor, before=read_cursor(cursor, kind=row_id), limit=limit + 1
    )
    return next_page(found, limit, "id")
