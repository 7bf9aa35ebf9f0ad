"""Stores claims, merged with those before them and without what the device reported as lost, in whatever order."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.judging.claims import LATE, Claim, lost_ranges, merge_claims
from app.judging.dirty_range import DirtyRange
from app.judging.models import StoredClaim
from app.measurements import reader
from app.postgres.engine import among
from app.profiles import LONGEST_INTERVAL_S
from probes.contract import AGENT, Outcome, Reading

NEAR = timedelta(seconds=2 * LONGEST_INTERVAL_S)  # farther than one lost reading joins the next

RANGES = "json_to_recordset(cast(:rows AS json)) AS n(site_id int, first timestamptz, last timestamptz)"
POP_TOUCHED = text(f"""
    DELETE FROM claim c USING {RANGES}
    WHERE c.site_id = n.site_id
        AND tstzrange(c.started_at, c.ended_at) && tstzrange(n.first - interval '1 second', n.last, '[]')
    RETURNING c.site_id, c.started_at, c.ended_at, c.received_at, c.address, c.boot
""")


async def record(session: AsyncSession, claims: Sequence[Claim], readings: Iterable[Reading]) -> list[DirtyRange]:
    """Store these claims, and take what the late losses among `readings` deny out of the stored ones.

    The readings must be recorded before. Return the ranges in which claims may have changed. Idempotent.

    1. Take out the claims that the new ones and the losses touch.
    2. Read what the devices reported as lost there.
    3. Store the claims merged, without it.
    """
    spans = _spans(claims, readings)
    if not spans:
        return []
    by_site: dict[int, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_site[claim.site_id].append(claim)
    for row in await session.execute(POP_TOUCHED, {"rows": _json(spans.items())}):
        by_site[row.site_id].append(Claim(*row))
    lost = await _lost(session, by_site)
    kept = [
        claim for site_id, of_site in by_site.items() for claim in merge_claims(of_site, lost_ranges(lost[site_id]))
    ]
    if kept:
        await session.execute(insert(StoredClaim), [asdict(claim) for claim in kept])
    return [DirtyRange(site_id, first, last) for site_id, (first, last) in spans.items() if site_id in by_site]


async def claims_of(
    session: AsyncSession, site_ids: Collection[int], start: datetime, end: datetime
) -> dict[int, list[Claim]]:
    """Return the claims that overlap start to end by site, in order; sites without any are left out."""
    found: dict[int, list[Claim]] = defaultdict(list)
    rows = await session.execute(
        select(
            StoredClaim.site_id,
            StoredClaim.started_at,
            StoredClaim.ended_at,
            StoredClaim.received_at,
            StoredClaim.address,
            StoredClaim.boot,
        )
        .where(among(StoredClaim.site_id, site_ids), StoredClaim.started_at < end, StoredClaim.ended_at > start)
        .order_by(StoredClaim.site_id, StoredClaim.started_at)
    )
    for row in rows:
        found[row.site_id].append(Claim(*row))
    return dict(found)


Spans = dict[int, tuple[datetime, datetime]]  # by site


def _spans(claims: Iterable[Claim], readings: Iterable[Reading]) -> Spans:
    spans: Spans = {}
    touched = [(claim.site_id, claim.started_at, claim.ended_at) for claim in claims]
    for reading in readings:
        if reading.reason == LATE and reading.outcome is Outcome.TIMEOUT:
            at, reach = from_slot(reading.slot), timedelta(seconds=2 * reading.valid_s)
            touched.append((reading.key, at - reach, at + reach))
    for site_id, start, end in touched:
        first, last = spans.get(site_id, (start, end))
        spans[site_id] = min(first, start), max(last, end)
    return spans


async def _lost(session: AsyncSession, claims: dict[int, list[Claim]]) -> dict[int, list[tuple[int, int]]]:
    """Return by site the (slot, valid_s) of what its device reported as lost in or near these claims."""
    lost: dict[int, list[tuple[int, int]]] = defaultdict(list)
    ranges = [
        (site_id, min(c.started_at for c in of_site) - NEAR, max(c.ended_at for c in of_site) + NEAR)
        for site_id, of_site in claims.items()
    ]
    for reading in (await reader.read(session, ranges, sources=[AGENT], outcomes=[Outcome.TIMEOUT])).readings():
        lost[reading.key].append((reading.slot, reading.valid_s))
    return lost


def _json(spans: Iterable[tuple[int, tuple[datetime, datetime]]]) -> str:
    rows: list[dict[str, Any]] = [
        {"site_id": site_id, "first": first, "last": last} for site_id, (first, last) in spans
    ]
    return orjson.dumps(rows).decode()
