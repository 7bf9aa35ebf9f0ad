"""What sites' devices saw near themselves in their outages: for the suggested cause, and as part of an incident."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.incidents.cause_hint import NearEvidence
from app.incidents.device_uptime import earliest_start
from app.incidents.models import IncidentSite
from app.incidents.near_cause import cause_of, causes_of
from app.incidents.near_words import near_words
from app.measurements import near_looks
from app.measurements.near import NearAccount
from app.measurements.near_looks import OutageSpan

MAX_OUTAGES = 50  # of one incident, of which it is shown


async def find_near_evidence(session: AsyncSession, rows: Iterable[IncidentSite]) -> dict[int, NearEvidence]:
    """By `IncidentSite.id`: of outages that ended with an answer and of which their device told something."""
    spans = [
        _span(row, row.ended_at)
        for row in rows
        if row.withdrawn_at is None and row.first_ok_after is not None and row.ended_at is not None
    ]
    accounts = await near_looks.of_outages(session, spans)
    return {span.id: NearEvidence(causes_of(accounts[span.id]), span.end) for span in spans if span.id in accounts}


async def list_near(session: AsyncSession, rows: Sequence[IncidentSite], *, now: datetime) -> list[dict[str, Any]]:
    """Return the stretches of the first outages as an incident shows them, in order of time."""
    shown = rows[:MAX_OUTAGES]
    accounts = await near_looks.of_outages(session, [_span(row, row.ended_at or now) for row in shown])
    sites = {row.id: row.site_id for row in shown}
    stretches = [fields for row_id, account in accounts.items() for fields in _stretches(sites[row_id], account)]
    return sorted(stretches, key=lambda fields: (fields["started_at"], fields["site_id"]))


def _span(row: IncidentSite, end: datetime) -> OutageSpan:
    return OutageSpan(row.id, row.site_id, earliest_start(row), end)


def _stretches(site_id: int, account: NearAccount) -> list[dict[str, Any]]:
    return [
        {
            "site_id": site_id,
            "started_at": stretch.started_at,
            "ended_at": stretch.ended_at,
            "looks": stretch.looks,
            **stretch.near._asdict(),
            "speaks_for": cause_of(stretch.near, account.before),
            "text": near_words(stretch.near),
        }
        for stretch in account.stretches
    ]
