"""Takes a wrong draft back: it has no number. What it said, and every objection to it, stays in the audit log."""

from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import PROVINCE, Caller, require_writer
from app.postgres.engine import require_version
from app.reports import store
from app.reports.drafts import audit_fields, get_draft
from app.reports.models import Objection

KEPT = ("no", "site", "text", "evidence", "filed_by", "decision", "decision_text", "decided_by")


async def withdraw_draft(
    session: AsyncSession, report_id: int, *, reason: str, caller: Caller, if_match: int | None
) -> None:
    """Delete a draft with its objections. Raises Conflict once it is issued, Stale for another version."""
    report = await get_draft(session, report_id, caller=caller)
    require_writer(caller, PROVINCE)
    require_version(if_match, report.version)
    filed = await store.list_objections(session, report_id)
    before = audit_fields(report) | {"totals": report.totals, "objections": [_kept(each) for each in filed]}
    await session.execute(delete(Objection).where(Objection.report_id == report_id))
    await session.delete(report)
    await session.flush()
    await audit.record(session, caller, "withdraw", "report", report_id, reason=reason, before=before)


def _kept(objection: Objection) -> dict[str, Any]:
    times = {name: getattr(objection, name) for name in ("outage_started_at", "filed_at", "decided_at")}
    return {name: getattr(objection, name) for name in KEPT} | {
        name: at and at.isoformat() for name, at in times.items()
    }
