"""Keeps drafts up to date: counted again when what they rest on has changed."""

import asyncio
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.contracts import store as contracts
from app.core.errors import Conflict
from app.core.words import Bilingual, in_words, joined
from app.reports import objection_term, report_changes, store
from app.reports.data_rows import Data, is_same, read_data, write_data
from app.reports.figures import basis_of, figures_now, objections_of, parse_report_period
from app.reports.models import Report, ReportStatus

MAX_KEPT_CHANGES = 20  # times at which figures changed


async def refresh(session: AsyncSession, report: Report, *, caller: Caller, now: datetime) -> Bilingual | None:
    """Bring a draft up to date where what it rests on has changed; return why that is not possible now, or None."""
    if report.status is not ReportStatus.DRAFT:
        return None
    basis = await basis_of(session, report.contract_id, parse_report_period(report.period))
    if basis == report.basis:
        return None
    if not await store.lock_unless_locked(session, report.id):  # whoever waits would keep a connection
        return in_words("This is the draft as it was before: it is being brought up to date.")
    await store.get_report(session, report.id, caller=caller, for_update=True)
    if report.status is not ReportStatus.DRAFT or report.basis == basis:
        return None
    try:
        data = await data_now(session, report, caller=caller, now=now)
    except Conflict as refusal:
        reasons = [in_words(fault.message, **fault.values) for fault in refusal.faults]
        return in_words("This is the draft as it was before: {reasons}.", reasons=joined(reasons, "; "))
    report.basis = basis
    await asyncio.to_thread(put_data, report, data, now)
    await session.flush()
    return None


async def data_now(session: AsyncSession, report: Report, *, caller: Caller, now: datetime) -> Data:
    """Return the data set of a draft as of now. Raises Conflict."""
    corrected = None
    if report.corrects_id is not None:
        corrected = await session.get_one(Report, report.corrects_id)  # which an office need not have lines in
    return await figures_now(
        session,
        await contracts.get_contract(session, report.contract_id, caller=caller),
        parse_report_period(report.period),
        read_data(report).parties,
        objections=await objections_of(session, report.id),
        corrected=corrected,
        reason=report.reason or "",
        now=now,
    )


def put_data(report: Report, data: Data, now: datetime) -> bool:
    """Set a draft's data set; return whether anything differs.

    Where figures changed the provider gets a working day more, and what it said of the old ones no longer holds.
    """
    before = read_data(report)
    if is_same(before, data):
        return False
    if changes := report_changes.changes(before, data):
        report.changes = [*report.changes, {"at": now.isoformat(), "changes": changes}][-MAX_KEPT_CHANGES:]
        report.objections_until = max(report.objections_until, objection_term.after_working_days(now, 1))
        report.no_objections_at = report.no_objections_by = None
    write_data(report, data)
    report.version += 1
    return True
