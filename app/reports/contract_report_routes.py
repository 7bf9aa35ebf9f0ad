from operator import itemgetter
from typing import Any

from fastapi import APIRouter, Request, Response

from app.contracts import store as contracts
from app.core.clock import utc_now
from app.reports import drafts, store
from app.reports.figures import parse_report_period
from app.reports.input_schemas import ReportDraftIn
from app.reports.params import ReportPeriodFilter
from app.reports.report_schemas import ReportOut
from app.web.account_queues import AccountQueues
from app.web.deps import Provincial, Reader, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, Limit, RowId
from app.web.problem_details import problems

router = APIRouter(prefix="/contracts/{id}/reports", tags=["reports"], route_class=JsonRoute)


@router.get("", response_model=Page[ReportOut], responses=problems(404))
async def list_contract_reports(
    session: Session,
    caller: Reader,
    id: RowId,
    period: ReportPeriodFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List the reports of a contract.

    Its months, their corrections and its yearly recapitulations, the newest first.
    """
    await contracts.get_contract(session, id, caller=caller)
    found = await store.list_reports(
        session,
        caller=caller,
        contract_id=id,
        period=None if period is None else str(parse_report_period(period)),
        before=BY_ID.read(cursor),
        limit=limit + 1,
    )
    rows = await store.present_all(session, found, caller=caller, now=utc_now())
    page, next_cursor = BY_ID.page(rows, limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.post("", response_model=ReportOut, status_code=201, responses=problems(403, 404, 409))
async def draft_report(
    session: Session,
    caller: Provincial,
    id: RowId,
    body: ReportDraftIn,
    request: Request,
    response: Response,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Draft the report of a month, or the recapitulation of a year.

    The month must be closed for all sites of the contract: its figures are the closed ones, by the latest correction if
    there is one. The draft is open to the provider's objections at once, until `objections_until`. Of a year the months
    that are issued are added up.
    """
    queues: AccountQueues = request.app.state.report_drafts
    async with queues.hold(caller):
        now = utc_now()
        if report_id := await idempotency.find(session, body, caller=caller):
            report = await store.get_report(session, report_id, caller=caller)
        else:
            report = await drafts.create_draft(session, id, body, caller=caller, now=now)
            await idempotency.record(session, body, report.id, caller=caller)
    response.headers["Location"] = f"{request.url.path.partition('/contracts/')[0]}/reports/{report.id}"
    response.headers["ETag"] = f'"{report.version}"'
    (row,) = await store.present_all(session, [report], caller=caller, now=now)
    return row
