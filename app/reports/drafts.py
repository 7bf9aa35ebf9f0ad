"""Drafts of reports: made once a month is closed, open to the provider at once, and kept up to date until issued."""

import asyncio
import secrets
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import PROVINCE, Caller, require_writer
from app.contracts import store as contracts
from app.core.errors import Fault, Invalid
from app.postgres.engine import require_version
from app.reports import objection_term, report_faults, store
from app.reports.data_rows import read_data, write_data
from app.reports.figures import (
    MonthOrYear,
    basis_of,
    figures_now,
    parse_report_period,
    require_period_over,
)
from app.reports.input_schemas import CorrectionIn, ReportDraftIn, ReportPatch
from app.reports.models import Report, ReportKind, ReportStatus
from app.reports.paper_schemas import Parties


async def create_draft(
    session: AsyncSession, contract_id: int, body: ReportDraftIn, *, caller: Caller, now: datetime
) -> Report:
    """Draft the first report of a contract and period.

    Raises NotFound for an unknown contract, Conflict where there is a report already, or the period is not over,
    closed or settled, and Invalid for a period that is none.
    """
    contract = await contracts.get_contract(session, contract_id, caller=caller)
    require_writer(caller, PROVINCE)
    period = parse_report_period(body.period)
    until = _objections_until(body.objections_until, now)
    require_period_over(period, now)
    await _require_first(session, contract_id, period)
    kind = ReportKind.RECAP if period.month is None else ReportKind.MONTH
    report = _new(contract_id, period, kind, until, caller)
    report.contract = contract
    await _fill(session, report, body.parties, now=now)
    return await _add(session, report, caller)


async def correct_report(
    session: AsyncSession, report_id: int, body: CorrectionIn, *, caller: Caller, now: datetime
) -> Report:
    """Draft the correction of an issued report: a report of its own, with the same parties.

    Raises Conflict for a draft, and for a report that is corrected already.
    """
    corrected = await store.get_report(session, report_id, caller=caller)
    require_writer(caller, PROVINCE)
    if corrected.status is not ReportStatus.ISSUED:
        raise report_faults.not_issued()
    if (correction := await store.find_correction(session, report_id)) is not None:
        raise report_faults.corrected_already(correction)
    period = parse_report_period(corrected.period)
    report = _new(
        corrected.contract_id, period, ReportKind.CORRECTION, _objections_until(body.objections_until, now), caller
    )
    report.corrects_id, report.reason = corrected.id, body.reason
    report.contract = await contracts.get_contract(session, corrected.contract_id, caller=caller)
    await _fill(session, report, read_data(corrected).parties, corrected=corrected, now=now)
    return await _add(session, report, caller)


async def patch_draft(
    session: AsyncSession, report_id: int, body: ReportPatch, *, caller: Caller, if_match: int | None, now: datetime
) -> Report:
    """Change what a draft's papers say beside the figures, or give more time for objections.

    Raises Conflict once it is issued, Stale for another version, Invalid for a term that is shortened.
    """
    report = await get_draft(session, report_id, caller=caller)
    require_writer(caller, PROVINCE)
    require_version(if_match, report.version)
    data = read_data(report)
    before = audit_fields(report)
    if body.objections_until is not None:
        until = objection_term.end_of(body.objections_until)
        if until < report.objections_until:
            raise report_faults.term_shortened()
        report.objections_until = _objections_until(body.objections_until, now)
    if body.parties is not None:
        data = data.model_copy(update={"parties": _merged(data.parties, body.parties)})
        await asyncio.to_thread(write_data, report, data)
    report.version += 1
    await session.flush()
    after = audit_fields(report)
    if body.parties is not None:
        after["changed"] = sorted(body.parties.model_fields_set)
    await audit.record(session, caller, "change", "report", report.id, before=before, after=after)
    return report


async def get_draft(session: AsyncSession, report_id: int, *, caller: Caller) -> Report:
    """Lock a draft. Raises NotFound, and Conflict for an issued report."""
    report = await store.get_report(session, report_id, caller=caller, for_update=True)
    if report.status is not ReportStatus.DRAFT:
        raise report_faults.never_changes(report)
    return report


def _new(contract_id: int, period: MonthOrYear, kind: ReportKind, until: datetime, caller: Caller) -> Report:
    return Report(
        contract_id=contract_id,
        period=str(period),
        kind=kind,
        objections_until=until,
        verify_code=secrets.token_urlsafe(12),
        drafted_by=caller.who,
        changes=[],
    )


async def _fill(
    session: AsyncSession, report: Report, parties: Parties, *, corrected: Report | None = None, now: datetime
) -> None:
    period = parse_report_period(report.period)
    with session.no_autoflush:
        report.basis = await basis_of(session, report.contract_id, period)
        data = await figures_now(
            session,
            report.contract,
            period,
            parties,
            corrected=corrected,
            reason=report.reason or "",
            now=now,
        )
    await asyncio.to_thread(write_data, report, data)


async def _add(session: AsyncSession, report: Report, caller: Caller) -> Report:
    session.add(report)
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError as error:
        if "uq_report_" not in str(error.orig):
            raise
        raise report_faults.drafted_already(None) from None
    after = audit_fields(report)
    await audit.record(session, caller, "create", "report", report.id, reason=report.reason, after=after)
    return report


async def _require_first(session: AsyncSession, contract_id: int, period: MonthOrYear) -> None:
    query = select(Report.id, Report.status).where(
        Report.contract_id == contract_id, Report.period == str(period), Report.corrects_id.is_(None)
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        return
    if found.status is ReportStatus.DRAFT:
        raise report_faults.drafted_already(found.id)
    raise report_faults.issued_already(found.id)


def _objections_until(day: date | None, now: datetime) -> datetime:
    if day is None:
        return objection_term.default_until(now)
    first, last = objection_term.allowed_days(now)
    if not first <= day <= last:
        raise Invalid(
            Fault(
                "objections_until",
                "bad_term",
                "The last day for objections is between {first} and {last}",
                "Choose a day between them",
                values={"first": first.isoformat(), "last": last.isoformat()},
            )
        )
    return objection_term.end_of(day)


def _merged(before: Parties, given: Parties) -> Parties:
    """Return the parties with what was given; what is given as null is emptied."""
    fields, changes = before.model_dump(), given.model_dump(exclude_unset=True)
    for name, value in changes.items():
        fields[name] = fields[name] | value if isinstance(value, dict) else value
    return Parties.model_validate(fields)


def audit_fields(report: Report) -> dict[str, Any]:
    """Return what the audit log keeps: of the parties, who are persons, which fields are filled alone."""
    parties = read_data(report).parties.model_dump(exclude_none=True)
    filled = [f"{name}.{each}" for name, value in parties.items() if isinstance(value, dict) for each in value]
    return {
        "contract": report.contract.number,
        "period": report.period,
        "sha256": report.sha256,
        "objections_until": report.objections_until.isoformat(),
        "parties": sorted(filled + [name for name, value in parties.items() if not isinstance(value, dict)]),
    }
