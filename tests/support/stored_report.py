"""A draft of a berita acara written straight into the database: for pages where no month is closed."""

import copy
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.reports.data_rows import write_data
from app.reports.models import Objection, Report, ReportKind
from app.reports.schemas import REPORT_DATA, ReportData

PARTY_TEXT = 200  # the longest text of a party
PERIOD = "2026-10"


async def store_draft(session: AsyncSession, contract: int, *, text: str | None = None) -> int:
    """Store a draft that nothing else is known of, and return its id; `text` in every field that somebody typed."""
    data, now = ReportData.model_validate(_data(text)), utc_now()
    report = Report(
        contract_id=contract,
        period=PERIOD,
        kind=ReportKind.MONTH,
        reason=text,
        objections_until=now + timedelta(days=5),
        verify_code=secrets.token_urlsafe(12),
        drafted_by=text or "sari",
        basis="",
        changes=[{"at": now.isoformat(), "changes": [{"id": text, "en": text}]}] if text else [],
    )
    write_data(report, data)
    session.add(report)
    await session.flush()
    typed = text or "Listrik padam"
    session.add(Objection(report_id=report.id, no=1, text=typed, evidence=typed, filed_by=typed))
    await session.flush()
    return report.id


def _data(text: str | None) -> dict[str, Any]:
    data = copy.deepcopy(REPORT_DATA)
    if text is None:
        return data
    words = {"id": text, "en": text}
    [line], [outage] = data["sites"], data["outages"]
    line |= dict.fromkeys(("name", "service_no", "village", "subdistrict", "district"), text)
    line |= {"notes": [words], "restitution": line["restitution"] | {"steps": [words]}}
    outage |= {"ticket_no": text, "cause_set_by": text, "why": words}
    data["contract"] |= {"number": text, "provider_name": text}
    data["objections"][0] |= dict.fromkeys(("text", "evidence", "decision_text", "filed_by", "decided_by"), text)
    data["parties"] = _texts(data["parties"], text[:PARTY_TEXT])
    return data | {"warnings": [{"code": "x"} | words], "corrects": _corrects(text)}


def _corrects(text: str) -> dict[str, Any]:
    corrected = {"id": 1, "number": "BA-2026-10-0001", "sha256": "0" * 64, "reason": text}
    return corrected | {"changes": [{"id": text, "en": text}]}


def _texts(value: Any, text: str) -> Any:
    return {name: _texts(each, text) for name, each in value.items()} if isinstance(value, dict) else text
