"""Issues a draft: what was looked at, once, under the next number of its series; never changed again."""

import asyncio
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import PROVINCE, Caller, require_writer
from app.core.errors import Conflict, Fault, Invalid
from app.postgres.engine import require_version
from app.reports import report_faults, store
from app.reports.data_rows import read_data
from app.reports.drafts import get_draft
from app.reports.figures import parse_report_period
from app.reports.models import Report, ReportStatus
from app.reports.paper_schemas import Parties
from app.reports.refreshing import data_now, put_data

NEXT_NUMBER = text("""
    INSERT INTO report_number AS n VALUES (:series, 1) ON CONFLICT (series) DO UPDATE SET last = n.last + 1
    RETURNING last
""")


async def issue(
    session: AsyncSession, report_id: int, *, caller: Caller, if_match: int | None, now: datetime
) -> tuple[Report, Conflict | None]:
    """Issue a draft; or, where what it says has changed, bring it up to date and return why it is not issued.

    1. Lock it, and check that it is the version that was looked at.
    2. Check that its parties are named, each objection decided, and the term over or waived.
    3. Make its data set again: it must be the same.
    4. Take the next number. Of two at once the second finds it issued.
    """
    report = await get_draft(session, report_id, caller=caller)
    require_writer(caller, PROVINCE)
    _require_looked_at(if_match)
    require_version(if_match, report.version)
    _require_parties(report.id, read_data(report).parties)
    await _require_heard(session, report, now)
    data = await data_now(session, report, caller=caller, now=now)
    if await asyncio.to_thread(put_data, report, data, now):
        await session.flush()
        return report, report_faults.changed_meanwhile()
    series = parse_report_period(report.period).series
    number = await session.scalar(NEXT_NUMBER, {"series": series})
    report.number = f"{series}-{number:04}"
    report.status, report.issued_at, report.issued_by = ReportStatus.ISSUED, now, caller.who
    report.version += 1
    await session.flush()
    after = {"number": report.number, "sha256": report.sha256, "totals": report.totals}
    await audit.record(session, caller, "issue", "report", report.id, after=after)
    return report, None


def _require_looked_at(if_match: int | None) -> None:
    if if_match is None:
        raise Invalid(
            Fault(
                "If-Match",
                "version_needed",
                "What is issued is what was read: its version is needed",
                "Send back `version` as you got it, in the header If-Match",
            )
        )


def _require_parties(report_id: int, parties: Parties) -> None:
    given = {"ppk": parties.ppk.name, "provider_signatory": parties.provider_signatory.name}
    faults = [
        Fault(
            f"parties.{name}.name",
            "missing",
            "Who signs is named before a report is issued",
            "Name them: PATCH /reports/{id}",
            values={"id": report_id},
        )
        for name, who in given.items()
        if not (who and who.strip())
    ]
    if faults:
        raise Invalid(*faults)


async def _require_heard(session: AsyncSession, report: Report, now: datetime) -> None:
    beside = (await store.read_beside(session, [report]))[report.id]
    if beside.undecided:
        raise report_faults.undecided(beside.undecided)
    if now < report.objections_until and report.no_objections_at is None:
        raise report_faults.term_open(report.objections_until)
