"""What anybody who holds a paper may read of it by its code: that it is ours, its sums, and what is in force."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import cast, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.reports.data_rows import YEAR_LENGTH
from app.reports.models import Report, ReportKind, ReportStatus

CODE = re.compile(r"[A-Za-z0-9_-]{1,40}")
MAX_CORRECTIONS = 50  # that are followed: each corrects the one before


@dataclass(frozen=True, slots=True)
class Verification:
    """`number`, `sha256` and `totals`: of an issued report alone. `in_force`: number of its latest correction.
    `later`: of a recapitulation, numbers of its year's reports that were issued after it.
    """

    kind: ReportKind
    contract: str
    provider: str
    period: str
    simulated: bool
    number: str | None = None
    issued_at: datetime | None = None
    corrects: str | None = None
    in_force: str | None = None
    sha256: str | None = None
    totals: Mapping[str, Any] | None = None
    later: Sequence[str] = ()


async def find_paper(session: AsyncSession, code: str) -> Verification | None:
    """Return what a code verifies, None for an unknown one. No name of a person is in it."""
    if not CODE.fullmatch(code):
        return None
    data = cast(Report.data, JSONB)  # as the paper says it: contract and provider may have other names by now
    names = data["contract"]["number"].as_string(), data["contract"]["provider_name"].as_string()
    query = (
        select(Report, *names, data["simulated"].as_boolean())
        .options(defer(Report.data, raiseload=True))
        .where(Report.verify_code == code)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    report, number, provider, simulated = row
    said = (report.kind, number, provider, report.period, bool(simulated))
    if report.status is not ReportStatus.ISSUED:
        return Verification(*said)
    corrects = await session.scalar(select(Report.number).where(Report.id == report.corrects_id))
    in_force = await _latest_correction(session, report.id)
    facts = report.number, report.issued_at, corrects, in_force, report.sha256, report.totals
    return Verification(*said, *facts, await _issued_later(session, report))


async def _issued_later(session: AsyncSession, recap: Report) -> Sequence[str]:
    if len(recap.period) != YEAR_LENGTH:  # a correction of a recapitulation is one, too
        return ()
    query = select(Report.number).where(
        Report.contract_id == recap.contract_id,
        Report.period.startswith(f"{recap.period}-"),
        Report.issued_at > recap.issued_at,
        Report.number.is_not(None),
    )
    return [number for number in await session.scalars(query.order_by(Report.id).limit(MAX_CORRECTIONS)) if number]


async def _latest_correction(session: AsyncSession, report_id: int) -> str | None:
    number = None
    for _ in range(MAX_CORRECTIONS):
        query = select(Report.id, Report.number).where(
            Report.corrects_id == report_id, Report.status == ReportStatus.ISSUED
        )
        if (row := (await session.execute(query)).one_or_none()) is None:
            break
        report_id, number = row
    return number
