"""Whether a site's silence counts as things stand, and if not, why: by what app/worker/missed_pushes.py goes by."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.freshness import LATE, OTHERS
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


FACTS = text("""
    SELECT s.lifecycle = 'active' AND s.probe = 'push' AS pushed, s.technology, st.valid_s, d.heard_at,
        coalesce(st.last_ok_at >= date_trunc('second', s.addressed_at), false) AS heard,
        EXISTS (
            SELECT FROM device_token t WHERE t.id = d.token_id AND t.site_id = s.id AND t.revoked_at IS NULL
        ) AS token
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
    elif await _others(session, site_id, now, within=every * (1 + LATE)) < OTHERS:
        why = Unheeded.FEW_OTHERS
    waits = facts.pushed and facts.heard_at is not None
    return {
        "next_expected_at": facts.heard_at + every if waits else None,
        "silence_counts": why is None,
        "silence_ignored": why,
    }


async def _others(session: AsyncSession, site_id: int, now: datetime, *, within: timedelta) -> int:
    given = {"site_id": site_id, "now": now, "within": within, "enough": OTHERS}
    return int(await session.scalar(OTHERS_HEARD, given) or 0)
