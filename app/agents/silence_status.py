"""Whether a site's silence counts as things stand, and if not, why: by what app/worker/missed_pushes.py goes by."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents.silence_rule import DEVICE_IS_ADMITTED, HEARD_AT_ADDRESS, PUSHES
from app.core.freshness import QUORUM, overdue_after
from app.judging import blind_ranges
from app.profiles import Technology, profiles
from app.registry.models import UnknownReason
from probes.contract import AGENT


class Unheeded(StrEnum):
    NOT_PUSHED = "not_pushed"  # suspended, retired, or measured in another way
    NEVER_HEARD = "never_heard"
    TOKEN = "token"  # noqa: S105
    INGEST = "ingest"
    FEW_OTHERS = "few_others"


FACTS = text(f"""
    SELECT {PUSHES} AS pushed, s.technology, st.valid_s, d.heard_at,
        {HEARD_AT_ADDRESS} AS heard,
        {DEVICE_IS_ADMITTED} AS token
    FROM site s JOIN site_status st ON st.site_id = s.id LEFT JOIN device d ON d.site_id = s.id
    WHERE s.id = :site_id
""")
OTHERS_HEARD = text("""
    SELECT count(*) FROM (
        SELECT FROM device d JOIN site s ON s.id = d.site_id
        WHERE d.site_id <> :site_id AND d.heard_at > cast(:now AS timestamptz) - cast(:within AS interval)
        LIMIT :enough
    ) heard
""")


async def read_awaited(session: AsyncSession, site_id: int, *, now: datetime) -> Mapping[str, Any]:
    facts = (await session.execute(FACTS, {"site_id": site_id})).one()
    every = timedelta(seconds=max(profiles()[Technology(facts.technology)].send_every_s, facts.valid_s or 0))
    why: Unheeded | None = None
    if not facts.pushed:
        why = Unheeded.NOT_PUSHED
    elif facts.heard_at is None or not facts.heard:
        why = Unheeded.NEVER_HEARD
    elif not facts.token:
        why = Unheeded.TOKEN
    elif (await blind_ranges.missing_evidence_reasons(session))[AGENT] is not UnknownReason.SILENT:
        why = Unheeded.INGEST
    elif await _others(session, site_id, now, within=overdue_after(every)) < QUORUM:
        why = Unheeded.FEW_OTHERS
    waits = facts.pushed and facts.heard_at is not None
    return {
        "next_expected_at": facts.heard_at + every if waits else None,
        "silence_counts": why is None,
        "silence_ignored": why,
    }


async def _others(session: AsyncSession, site_id: int, now: datetime, *, within: timedelta) -> int:
    given = {"site_id": site_id, "now": now, "within": within, "enough": QUORUM}
    return int(await session.scalar(OTHERS_HEARD, given) or 0)
