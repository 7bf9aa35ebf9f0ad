import asyncio
from operator import itemgetter
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE, Caller
from app.core.clock import utc_now
from app.registry.params import ProviderSlug
from app.reports import drafts, issuing, store, withdrawal
from app.reports.data_rows import visible_data
from app.reports.figures import parse_report_period
from app.reports.input_schemas import CorrectionIn, ReportPatch
from app.reports.models import Report
from app.reports.params import KindFilter, ReportPeriodFilter, StatusFilter, WithdrawalReason
from app.reports.refreshing import refresh
from app.reports.report_schemas import ReportOut, ReportWhole
from app.web.account_queues import AccountQueues
from app.web.deps import Issuer, Provincial, Reader, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version
from app.web.problem_details import problem_response, problems

router = APIRouter(prefix="/reports", tags=["reports"], route_class=JsonRoute)


@router.get("", response_model=Page[ReportOut], responses=problems())
async def list_reports(
    session: Session,
    caller: Reader,
    period: ReportPeriodFilter = None,
    provider: ProviderSlug = None,
    contract: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="id of a contract", examples=[7])] = None,
    kind: KindFilter = None,
    status: StatusFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List reports.

    The newest first. A provider sees its own, drafts too; an office of a district those with sites of its region.
    """
    found = await store.list_reports(
        session,
        caller=caller,
        contract_id=contract,
        provider=provider,
        period=None if period is None else str(parse_report_period(period)),
        kind=kind,
        status=status,
        before=BY_ID.read(cursor),
        limit=limit + 1,
    )
    rows = await store.present_all(session, found, caller=caller, now=utc_now())
    page, next_cursor = BY_ID.page(rows, limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.get("/{id}", response_model=ReportWhole, responses=problems(404))
async def get_report(session: Session, caller: Reader, id: RowId) -> Response:
    """One report with its data set.

    A draft is brought up to date first, where what it rests on has changed: `changes` tells what. An office of a
    district gets the lines of its region.
    """
    report, now = await store.get_report(session, id, caller=caller), utc_now()
    notice = await refresh(session, report, caller=caller, now=now)
    (row,) = await store.present_all(session, [report], caller=caller, now=now)
    fields = ReportOut.model_validate(row).model_dump(mode="json") | {
        "extract": None if caller.region_code == PROVINCE else caller.region_code,
        "notice": notice,
        "data": orjson.Fragment(await asyncio.to_thread(visible_data, report, caller.region_code)),
    }
    headers = {"ETag": f'"{report.version}"'}
    return Response(orjson.dumps(fields), media_type="application/json", headers=headers)


@router.patch("/{id}", response_model=ReportOut, responses=problems(403, 404, 409, 412))
async def patch_report(
    session: Session, caller: Provincial, id: RowId, body: ReportPatch, response: Response, if_match: IfMatch = None
) -> dict[str, Any]:
    """Change what a draft's papers say beside the figures.

    Who signs, where, and by which papers; or give the provider more time. An issued report never changes.
    """
    now = utc_now()
    report = await drafts.patch_draft(session, id, body, caller=caller, if_match=read_version(if_match), now=now)
    return await _out(session, report, response, caller)


@router.delete("/{id}", status_code=204, responses=problems(403, 404, 409, 412))
async def withdraw_report(
    session: Session, caller: Provincial, id: RowId, reason: WithdrawalReason, if_match: IfMatch = None
) -> None:
    """Take back a wrong draft.

    It never had a number; its sums and every objection to it stay in the audit log. The period can be drafted anew. An
    issued report is corrected instead.
    """
    await withdrawal.withdraw_draft(session, id, reason=reason, caller=caller, if_match=read_version(if_match))


@router.post("/{id}/issue", response_model=ReportOut, responses=problems(403, 404, 409, 412))
async def issue_report(
    session: Session, caller: Issuer, id: RowId, request: Request, response: Response, if_match: IfMatch = None
) -> Any:
    """Issue a report: number it, and never change it again.

    If-Match with the version that was read is needed: what is issued is what was looked at. Refused until who signs is
    named, every objection is decided, and the term for objections is over or the provider said that it has none. Where
    its figures have changed meanwhile the draft is brought up to date, and not issued.
    """
    queues: AccountQueues = request.app.state.report_drafts
    async with queues.hold(caller):
        report, refusal = await issuing.issue(
            session, id, caller=caller, if_match=read_version(if_match), now=utc_now()
        )
    if refusal is not None:
        return problem_response(request, refusal)
    return await _out(session, report, response, caller)


@router.post("/{id}/correct", response_model=ReportOut, status_code=201, responses=problems(403, 404, 409))
async def correct_report(
    session: Session,
    caller: Provincial,
    id: RowId,
    body: CorrectionIn,
    request: Request,
    response: Response,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Draft the correction of an issued report.

    A report of its own, with the figures as they are known now, that says what changed. It is open to objections, and
    gets a number of its own when it is issued; the corrected one stays as it is.
    """
    queues: AccountQueues = request.app.state.report_drafts
    async with queues.hold(caller):
        if report_id := await idempotency.find(session, body, caller=caller):
            report = await store.get_report(session, report_id, caller=caller)
        else:
            report = await drafts.correct_report(session, id, body, caller=caller, now=utc_now())
            await idempotency.record(session, body, report.id, caller=caller)
    response.headers["Location"] = request.url.path.replace(f"/{id}/correct", f"/{report.id}")
    return await _out(session, report, response, caller)


async def _out(session: AsyncSession, report: Report, response: Response, caller: Caller) -> dict[str, Any]:
    response.headers["ETag"] = f'"{report.version}"'
    (row,) = await store.present_all(session, [report], caller=caller, now=utc_now())
    return row
