"""`/contracts/{id}/sites` and `/sites/{id}/contracts`: which sites are under which contracts, from day to day."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from app.access.scope import require_region
from app.contracts import assignment_changes, assignments, store
from app.contracts.assignment_schemas import (
    REASON,
    SiteAssignmentOut,
    SiteAssignmentPatch,
    SiteAssignmentsIn,
    SiteAssignmentsOut,
)
from app.contracts.assignments import AssignmentFilter
from app.registry import store as registry
from app.registry.params import RegionCode, SiteId
from app.web.deps import Provincial, Reader, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import Page, cursor_codec
from app.web.params import MAX_ID, Cursor, IfMatch, Limit, RowId, path_id, read_version, row_id
from app.web.problem_details import problems

router = APIRouter(tags=["registry"], route_class=JsonRoute)

BY_START = cursor_codec(date.fromisoformat, row_id)


async def read_assignment_id(
    assignment_id: Annotated[str, Path(max_length=MAX_ID, description="the assignment's id", examples=["91"])],
) -> int:
    """Raises NotFound for text that no row can have as its id, as for any other unknown id."""
    return await path_id(assignment_id)


AssignmentId = Annotated[int, Depends(read_assignment_id)]
Withdrawn = Annotated[bool, Query(description="also those that were taken back")]
Reason = Annotated[
    str | None, Query(min_length=1, max_length=4000, description=REASON, examples=["addendum 2 of 20 November"])
]


@router.get("/contracts/{id}/sites", response_model=Page[SiteAssignmentOut], responses=problems(403, 404))
async def list_contract_sites(
    session: Session,
    caller: Reader,
    id: RowId,
    region: RegionCode = None,
    withdrawn: Withdrawn = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List a contract's sites.

    Those within your scope, by the day they came under it.
    """
    await store.get_contract(session, id, caller=caller)
    if region is not None:
        require_region(caller, region)
    return await _page(session, AssignmentFilter(id, None, region, withdrawn), caller, limit, cursor)


@router.get("/sites/{id}/contracts", response_model=Page[SiteAssignmentOut], responses=problems(404))
async def list_site_contracts(
    session: Session,
    caller: Reader,
    id: SiteId,
    withdrawn: Withdrawn = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List a site's contracts.

    Those that it is, was and will be under, by the day it came under them.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    return await _page(session, AssignmentFilter(None, site.id, None, withdrawn), caller, limit, cursor)


async def _page(
    session: Session, assignment_filter: AssignmentFilter, caller: Reader, limit: int, cursor: str | None
) -> dict[str, Any]:
    after = BY_START.read(cursor)
    rows = await assignments.list_assignments(session, assignment_filter, caller=caller, after=after, limit=limit + 1)
    page, next_cursor = BY_START.page(rows, limit, lambda row: (row["from"], row["id"]))
    return {"items": page, "next_cursor": next_cursor}


@router.post(
    "/contracts/{id}/sites", response_model=SiteAssignmentsOut, status_code=201, responses=problems(403, 404, 409)
)
async def add_contract_sites(
    session: Session,
    caller: Provincial,
    id: RowId,
    body: SiteAssignmentsIn,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Put sites under a contract.

    From a day to a day, all or none; only the province may. Days that are over are counted again: a closed month gets a
    correction beside it.
    """
    if first_id := await idempotency.find(session, body, caller=caller):
        return {"items": await assignments.recorded_with(session, first_id, caller=caller)}
    added = await assignment_changes.add_sites(session, id, body, caller=caller)
    await idempotency.record(session, body, added[0]["id"], caller=caller)
    return {"items": added}


@router.get("/contracts/{id}/sites/{assignment_id}", response_model=SiteAssignmentOut, responses=problems(404))
async def get_contract_site(
    session: Session, caller: Reader, id: RowId, assignment_id: AssignmentId, response: Response
) -> dict[str, Any]:
    """One site's days under a contract.

    Their version is the ETag.
    """
    row = await assignments.get_assignment(session, id, assignment_id, caller=caller)
    found = assignments.present(*row, caller=caller)
    response.headers["ETag"] = f'"{found["version"]}"'
    return found


@router.patch(
    "/contracts/{id}/sites/{assignment_id}",
    response_model=SiteAssignmentOut,
    responses=problems(403, 404, 409, 412),
)
async def patch_contract_site(
    session: Session,
    caller: Provincial,
    id: RowId,
    assignment_id: AssignmentId,
    body: SiteAssignmentPatch,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Move a site's days under a contract.

    Give `to` to end it, null for as long as the contract is valid.
    """
    changed = await assignment_changes.patch_assignment(
        session, id, assignment_id, body, caller=caller, if_match=read_version(if_match)
    )
    response.headers["ETag"] = f'"{changed["version"]}"'
    return changed


@router.delete("/contracts/{id}/sites/{assignment_id}", status_code=204, responses=problems(403, 404, 412))
async def withdraw_contract_site(
    session: Session,
    caller: Provincial,
    id: RowId,
    assignment_id: AssignmentId,
    reason: Reason = None,
    if_match: IfMatch = None,
) -> None:
    """Take back a wrong assignment of a site to a contract.

    It never was, and its row is kept. Idempotent. To end one, PATCH its `to`.
    """
    await assignment_changes.withdraw_assignment(
        session, id, assignment_id, caller=caller, reason=reason, if_match=read_version(if_match)
    )
