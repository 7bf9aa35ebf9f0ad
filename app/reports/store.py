"""Reports as rows, and who sees which: a provider its own, an office those with sites of its region."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, exists, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, defer, joinedload

from app.access.scope import PROVINCE, Caller, in_region
from app.core.errors import NotFound
from app.postgres.engine import among
from app.registry.models import Contract, Provider
from app.reports.models import Objection, Report, ReportKind, ReportStatus

SHOWN = (
    "id",
    "period",
    "kind",
    "status",
    "number",
    "reason",
    "objections_until",
    "no_objections_at",
    "sha256",
    "method",
    "verify_code",
    "drafted_at",
    "drafted_by",
    "issued_at",
    "issued_by",
    "version",
)


class Beside(NamedTuple):
    """What is told of a report beside its row."""

    corrects: dict[str, Any] | None = None
    corrected_by: dict[str, Any] | None = None
    objections: int = 0
    undecided: int = 0


def _reports(caller: Caller) -> Select[Report]:
    query = select(Report).options(joinedload(Report.contract).joinedload(Contract.provider))
    query = query.join(Contract, Contract.id == Report.contract_id).where(_has_lines_in(caller.region_code))
    return query if caller.provider_id is None else query.where(Contract.provider_id == caller.provider_id)


def _has_lines_in(region_code: str) -> ColumnElement[bool]:
    if region_code == PROVINCE:
        return true()
    lines = func.unnest(Report.village_codes).table_valued("code", name="line").render_derived()
    return exists(select(1).select_from(lines).where(in_region(lines.c.code, region_code)).correlate(Report))


async def list_reports(
    session: AsyncSession,
    *,
    caller: Caller,
    contract_id: int | None = None,
    provider: str | None = None,
    period: str | None = None,
    kind: ReportKind | None = None,
    status: ReportStatus | None = None,
    before: int | None = None,
    limit: int,
) -> list[Report]:
    """Return reports without their data, the newest first."""
    query = _reports(caller).options(defer(Report.data, raiseload=True)).order_by(Report.id.desc()).limit(limit)
    for column, value in (
        (Report.contract_id, contract_id),
        (Report.period, period),
        (Report.kind, kind),
        (Report.status, status),
    ):
        if value is not None:
            query = query.where(column == value)
    if provider is not None:
        query = query.where(Contract.provider.has(Provider.slug == provider))
    if before is not None:
        query = query.where(Report.id < before)
    return list(await session.scalars(query))


async def get_report(session: AsyncSession, report_id: int, *, caller: Caller, for_update: bool = False) -> Report:
    """Raises NotFound, alike for an unknown report and one out of scope."""
    query = _reports(caller).where(Report.id == report_id)
    if for_update:
        query = query.with_for_update(of=Report).execution_options(populate_existing=True)
    report = await session.scalar(query)
    if report is None:
        raise NotFound("There is no report {given} within your scope", values={"given": report_id})
    return report


async def lock_unless_locked(session: AsyncSession, report_id: int) -> bool:
    """Lock a report; return False at once if another transaction has it."""
    query = select(Report.id).where(Report.id == report_id).with_for_update(skip_locked=True)
    return await session.scalar(query) is not None


async def find_correction(session: AsyncSession, report_id: int) -> Report | None:
    return await session.scalar(
        select(Report).options(defer(Report.data, raiseload=True)).where(Report.corrects_id == report_id)
    )


async def list_objections(session: AsyncSession, report_id: int) -> list[Objection]:
    query = select(Objection).where(Objection.report_id == report_id).order_by(Objection.no)
    return list(await session.scalars(query))


async def read_beside(session: AsyncSession, reports: Collection[Report]) -> dict[int, Beside]:
    """Return what is told of these reports beside their rows, by id."""
    ids = [report.id for report in reports]
    counted = await session.execute(
        select(Objection.report_id, func.count(), func.count().filter(Objection.decision.is_(None)))
        .where(among(Objection.report_id, ids))
        .group_by(Objection.report_id)
    )
    objections = {report_id: (count, undecided) for report_id, count, undecided in counted}
    other, own = aliased(Report), aliased(Report)
    links = await session.execute(
        select(own.id, other.id, other.number, own.corrects_id == other.id)
        .join(other, (other.id == own.corrects_id) | (other.corrects_id == own.id))
        .where(among(own.id, ids))
    )
    linked: dict[int, dict[str, Any]] = defaultdict(dict)
    for report_id, other_id, number, is_corrected in links:
        linked[report_id]["corrects" if is_corrected else "corrected_by"] = {"id": other_id, "number": number}
    return {
        report_id: Beside(
            linked[report_id].get("corrects"), linked[report_id].get("corrected_by"), *objections.get(report_id, (0, 0))
        )
        for report_id in ids
    }


def present(report: Report, beside: Beside, *, caller: Caller, now: datetime) -> dict[str, Any]:
    """Return the fields of a ReportOut."""
    contract = report.contract
    return {name: getattr(report, name) for name in SHOWN} | {
        "contract": {"id": contract.id, "number": contract.number, "provider": contract.provider.slug},
        "provider_name": contract.provider.name,
        **beside._asdict(),
        "open_to_objections": report.status is ReportStatus.DRAFT and now < report.objections_until,
        "totals": report.totals if caller.region_code == PROVINCE else None,
        "changes": report.changes if caller.region_code == PROVINCE else [],
    }


async def present_all(
    session: AsyncSession, reports: Sequence[Report], *, caller: Caller, now: datetime
) -> list[dict[str, Any]]:
    beside = await read_beside(session, reports)
    return [present(report, beside[report.id], caller=caller, now=now) for report in reports]
