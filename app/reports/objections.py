"""What the provider says of a draft within its term, and what the province decides on each."""

import asyncio
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import PROVINCE, Caller, require_writer
from app.core.errors import Conflict, Fault, Invalid, NotAllowed, NotFound
from app.postgres.engine import require_version
from app.reports import report_faults, store
from app.reports.data_rows import Data, read_data, write_data
from app.reports.drafts import get_draft
from app.reports.extract import extract
from app.reports.figures import present_objections
from app.reports.input_schemas import ObjectionDecisionIn, ObjectionIn
from app.reports.models import Objection, Report
from app.reports.paper_schemas import ReportObjection
from app.reports.schemas import ReportData

MOST = 300  # of a report: each wants a decision


async def file_objection(
    session: AsyncSession, report_id: int, body: ObjectionIn, *, caller: Caller, now: datetime
) -> Objection:
    """File an objection of the report's provider.

    Raises NotAllowed for others, Conflict once the term is over, for the same outage twice and beyond MOST, and
    Invalid for a site or an outage that is not in the report.
    """
    report = await _open_draft(session, report_id, caller=caller, now=now)
    filed = await store.list_objections(session, report_id)
    _require_in_report(await asyncio.to_thread(read_data, report), caller, body)
    _require_new(filed, body)
    objection = Objection(
        report_id=report.id,
        no=len(filed) + 1,
        site=body.site,
        outage_started_at=body.outage_started_at,
        text=body.text,
        evidence=body.evidence,
        filed_at=now,
        filed_by=caller.who,
    )
    session.add(objection)
    report.no_objections_at = report.no_objections_by = None
    await _take_over(session, report)
    after = {"no": objection.no, "site": objection.site, "text": objection.text, "evidence": objection.evidence}
    await audit.record(session, caller, "object", "report", report.id, after=after)
    return objection


async def state_no_objections(
    session: AsyncSession, report_id: int, *, caller: Caller, if_match: int | None, now: datetime
) -> Report:
    """Record that the provider has no objections, or no further ones, to the draft as it is. Idempotent.

    Raises what `file_objection` does, Stale for another version than the one that was read, and NotAllowed for an
    account that sees a part of the report.
    """
    report = await _open_draft(session, report_id, caller=caller, now=now)
    if caller.region_code != PROVINCE:
        raise NotAllowed("This account sees a part of the report: one for all districts agrees to the whole")
    if report.no_objections_at is None:
        require_version(if_match, report.version)
        report.no_objections_at, report.no_objections_by = now, caller.who
        report.version += 1
        await session.flush()
        await audit.record(session, caller, "agree", "report", report.id, after={"sha256": report.sha256})
    return report


async def decide(
    session: AsyncSession, report_id: int, number: int, body: ObjectionDecisionIn, *, caller: Caller, now: datetime
) -> Objection:
    """Decide on an objection, once. Raises NotFound for an unknown number, Conflict for another decision."""
    report = await get_draft(session, report_id, caller=caller)
    require_writer(caller, PROVINCE)
    filed = {objection.no: objection for objection in await store.list_objections(session, report_id)}
    if (objection := filed.get(number)) is None:
        raise NotFound("The report has no objection {given}", values={"given": number})
    if objection.decision is not None:
        if (objection.decision, objection.decision_text) == (body.decision, body.text):
            return objection
        raise report_faults.decided_already(number)
    objection.decision, objection.decision_text = body.decision, body.text
    objection.decided_at, objection.decided_by = now, caller.who
    await _take_over(session, report)
    after = {"no": number, "decision": body.decision.value, "text": body.text}
    await audit.record(session, caller, "decide", "report", report.id, after=after)
    return objection


async def _open_draft(session: AsyncSession, report_id: int, *, caller: Caller, now: datetime) -> Report:
    report = await get_draft(session, report_id, caller=caller)
    if caller.provider_id is None:
        raise NotAllowed("Only the contract's provider objects, or says that it does not")
    if now >= report.objections_until:
        raise report_faults.term_over(report.objections_until)
    return report


async def _take_over(session: AsyncSession, report: Report) -> None:
    """Make the objections part of the data set."""
    await session.flush()
    rows = await store.list_objections(session, report.id)
    objections = await present_objections(session, rows)
    await asyncio.to_thread(_write, report, objections)
    report.version += 1
    await session.flush()


def _write(report: Report, objections: list[ReportObjection]) -> None:
    write_data(report, read_data(report).model_copy(update={"objections": objections}))


def _require_in_report(whole: Data, caller: Caller, body: ObjectionIn) -> None:
    data = extract(whole, caller.region_code)
    codes = {line.code for line in data.sites}
    if body.site is not None and body.site not in codes:
        raise Invalid(
            Fault(
                "site",
                "not_in_report",
                "{given} is not in the report",
                "Give the code of one of its sites",
                values={"given": body.site[:40]},
            )
        )
    if body.outage_started_at is None:
        return
    if body.site is None:
        raise Invalid(Fault("site", "missing", "An outage is one of a site", "Give the code of its site, too"))
    outages = data.outages if isinstance(data, ReportData) else []
    if not any(each.site == body.site and each.started_at == body.outage_started_at for each in outages):
        raise Invalid(
            Fault(
                "outage_started_at",
                "no_such_outage",
                "The report has no outage of {site} that began then",
                "Take `started_at` of one of its outages",
                values={"site": body.site},
            )
        )


def _require_new(filed: list[Objection], body: ObjectionIn) -> None:
    if len(filed) >= MOST:
        raise Conflict(
            faults=[
                Fault(
                    "objections",
                    "too_many",
                    "A report takes at most {most} objections",
                    "Sum up the rest in a letter to the province",
                    values={"most": MOST},
                )
            ]
        )
    for objection in filed:
        same = (objection.site, objection.outage_started_at) == (body.site, body.outage_started_at)
        if same and (body.outage_started_at is not None or objection.text == body.text):
            raise Conflict(
                faults=[
                    Fault(
                        "outage_started_at" if body.outage_started_at else "text",
                        "objected_already",
                        "Objection {no} is about the same",
                        values={"no": objection.no},
                    )
                ]
            )
