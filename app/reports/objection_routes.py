from typing import Any

from fastapi import APIRouter

from app.access.scope import PROVINCE
from app.core.clock import utc_now
from app.reports import objections, store
from app.reports.data_rows import read_data
from app.reports.extract import extract
from app.reports.figures import present_objections
from app.reports.input_schemas import ObjectionDecisionIn, ObjectionIn
from app.reports.paper_schemas import ReportObjection
from app.reports.params import ObjectionNumber
from app.reports.report_schemas import Objections, ReportOut
from app.web.deps import Provincial, Reader, Session
from app.web.json_body import JsonRoute
from app.web.params import IfMatch, RowId, read_version
from app.web.problem_details import problems

router = APIRouter(prefix="/reports/{id}", tags=["reports"], route_class=JsonRoute)


@router.get("/objections", response_model=Objections, responses=problems(404))
async def list_objections(session: Session, caller: Reader, id: RowId) -> dict[str, Any]:
    """List the objections to a report.

    By number, each with the decision on it. An office of a district sees those about its sites.
    """
    report = await store.get_report(session, id, caller=caller)
    if caller.region_code == PROVINCE:
        return {"items": await present_objections(session, await store.list_objections(session, report.id))}
    return {"items": extract(read_data(report), caller.region_code).objections}


@router.post("/objections", response_model=ReportObjection, status_code=201, responses=problems(403, 404, 409))
async def file_objection(session: Session, caller: Reader, id: RowId, body: ObjectionIn) -> ReportObjection:
    """Object to a draft.

    Only the contract's provider does, until `objections_until`: to one outage, to a site's line, or to the report. Name
    the evidence; hand it over as agreed. Objections and decisions are part of the report.
    """
    filed = await objections.file_objection(session, id, body, caller=caller, now=utc_now())
    [presented] = await present_objections(session, [filed])
    return presented


@router.post("/objections/{no}/decision", response_model=ReportObjection, responses=problems(403, 404, 409))
async def decide_objection(
    session: Session, caller: Provincial, id: RowId, no: ObjectionNumber, body: ObjectionDecisionIn
) -> ReportObjection:
    """Decide on an objection.

    With the reasons, and once: both stay on the paper. Figures change by what they rest on: set the cause of the
    outage, or plan its maintenance, and the draft follows.
    """
    decided = await objections.decide(session, id, no, body, caller=caller, now=utc_now())
    [presented] = await present_objections(session, [decided])
    return presented


@router.post("/no-objections", response_model=ReportOut, responses=problems(403, 404, 409, 412))
async def state_no_objections(session: Session, caller: Reader, id: RowId, if_match: IfMatch = None) -> dict[str, Any]:
    """Say that there are no objections, or no further ones.

    Only the contract's provider does. The report can be issued before its term is over. It no longer holds once a
    figure changes, or another objection is filed. With If-Match it is said of the version that was read. Idempotent.
    """
    now = utc_now()
    report = await objections.state_no_objections(session, id, caller=caller, if_match=read_version(if_match), now=now)
    (row,) = await store.present_all(session, [report], caller=caller, now=now)
    return row
