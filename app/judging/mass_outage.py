"""Suspects: sites lost with many others of several providers within a minute, which may be our own fault.

The canaries decide where they can: if they answered from a site's first lost look to its last, the outage counts at
once. Otherwise the site alone is held: its lost looks read as our fault until its own next look. Lost again, it is down
from its first lost look on; answered, those looks stay our fault. A hold covers nothing else: no other site, no other
second, no outage that was confirmed before. Sites that push their own readings are no suspects: we take no look there;
nor are those that several vantages look at: one uplink of ours loses none of them.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.judging.blind_ranges import MOST_PACKETS, reading_ends_at
from app.judging.canary_evidence import CanaryLog
from app.judging.dirty_range import DirtyRange
from app.judging.models import Suspect, Suspicion
from app.registry.models import Lifecycle
from probes.contract import CENTRAL, LOOKS, Outcome, ProbeKind, Reading

log = structlog.get_logger()

WITHIN = timedelta(seconds=60)
MIN_SITES, MIN_SHARE, MIN_PROVIDERS = 10, 0.1, 2
NO_CANARIES = CanaryLog()

PROBED = f"s.lifecycle = '{Lifecycle.ACTIVE}' AND s.probe <> '{ProbeKind.PUSH}'"
# Of the sites whose newest look is given: those whose outage that look confirmed. One lost look more, and it is no
# suspect: it has been confirmed by a look of its own.
CONFIRMED_NOW = text(f"""
    SELECT g.site_id, g.started_at, g.confirmed_at FROM unnest(cast(:ids AS int[]), cast(:newest AS timestamptz[])) AS
        w(site_id, newest) JOIN state_segment g USING (site_id) JOIN site s ON s.id = g.site_id
    WHERE g.ended_at IS NULL AND g.state = 'down' AND g.confirmed_at = w.newest AND g.started_at >= :since AND {PROBED}
        AND cardinality(s.vantages) = 1
    ORDER BY 1
""")
# By provider: probed sites, and those of them whose first lost look is recent, whether it was confirmed yet or not.
LOST_LATELY = text(f"""
    SELECT count(*) AS probed, count(*) FILTER (
        WHERE st.pending_at >= :since OR st.state = 'down' AND st.since >= :since
            OR EXISTS (SELECT FROM suspect x WHERE x.site_id = s.id AND x.excused IS NULL AND x.started_at >= :since)
    ) AS lost
    FROM site s JOIN site_status st ON st.site_id = s.id WHERE {PROBED} GROUP BY s.provider_id
""")
OPEN = text("SELECT site_id, started_at, lost_at FROM suspect WHERE excused IS NULL AND site_id = ANY(:ids)")
ALL_OPEN = text("SELECT DISTINCT site_id FROM suspect WHERE excused IS NULL")
DECIDE = text("""
    UPDATE suspect x SET excused = w.excused, decided_at = w.decided_at
    FROM unnest(cast(:ids AS int[]), cast(:excused AS bool[]), cast(:decided AS timestamptz[]))
        AS w(site_id, excused, decided_at)
    WHERE x.site_id = w.site_id AND x.excused IS NULL
""")


async def decide(session: AsyncSession, readings: Mapping[int, Sequence[Reading]]) -> list[DirtyRange]:
    """Decide the holds of sites that were looked at again; return the stretches that count as outages after all."""
    decisions = []
    for row in await session.execute(OPEN, {"ids": sorted(readings)}):
        looks = [reading for reading in readings[row.site_id] if _decides(reading, row.lost_at)]
        if looks:
            decisions.append((row, min(looks, key=lambda reading: reading.slot)))
    if decisions:
        parameters = {
            "ids": [row.site_id for row, _ in decisions],
            "excused": [look.outcome is Outcome.OK for _, look in decisions],
            "decided": [from_slot(look.slot) for _, look in decisions],
        }
        await session.execute(DECIDE, parameters)
    return [
        DirtyRange(row.site_id, row.started_at, from_slot(look.slot))
        for row, look in decisions
        if look.outcome is Outcome.TIMEOUT
    ]


def _decides(reading: Reading, lost_at: datetime) -> bool:
    return reading.source in LOOKS and reading.outcome is not Outcome.FAULT and from_slot(reading.slot) > lost_at


async def review(
    session: AsyncSession, newly_down: Mapping[int, datetime], newest: datetime, canaries: CanaryLog
) -> list[DirtyRange]:
    """Record the suspects among the sites that just went down; return the lost looks of those that are held.

    `newly_down`: the newest look of each of them; `newest`: the newest of all.
    """
    parameters = {"ids": list(newly_down), "newest": list(newly_down.values()), "since": newest - WITHIN}
    suspects = (await session.execute(CONFIRMED_NOW, parameters)).all()
    if not suspects or not await _is_mass_outage(session, newest - WITHIN):
        return []
    excused = {row.site_id: None if _may_be_ours(row, canaries) else False for row in suspects}
    first, last = min(row.started_at for row in suspects), max(row.confirmed_at for row in suspects)
    evidence = canaries.evidence(first.timestamp(), reading_ends_at(last, MOST_PACKETS).timestamp())
    suspicion = Suspicion(
        source=CENTRAL, started_at=first, ended_at=last + timedelta(seconds=1), evidence=evidence.as_json()
    )
    session.add(suspicion)
    await session.flush()
    session.add_all(
        Suspect(
            suspicion_id=suspicion.id,
            site_id=row.site_id,
            started_at=row.started_at,
            lost_at=row.confirmed_at,
            excused=excused[row.site_id],
            decided_at=None if excused[row.site_id] is None else row.confirmed_at,
        )
        for row in suspects
    )
    await session.flush()
    held = [row for row in suspects if excused[row.site_id] is None]
    log.warning("mass_outage_suspected", sites=len(suspects), held=len(held), canaries=evidence.verdict.value)
    return [DirtyRange(row.site_id, row.started_at, row.confirmed_at) for row in held]


async def _is_mass_outage(session: AsyncSession, since: datetime) -> bool:
    providers = (await session.execute(LOST_LATELY, {"since": since})).all()
    lost = sum(provider.lost for provider in providers)
    if lost < max(MIN_SITES, MIN_SHARE * sum(provider.probed for provider in providers)):
        return False
    return sum(1 for provider in providers if provider.lost > 1) >= MIN_PROVIDERS


def _may_be_ours(suspect: Row[Any], canaries: CanaryLog) -> bool:
    lost_until = reading_ends_at(suspect.confirmed_at, MOST_PACKETS)
    return not canaries.could_see(suspect.started_at.timestamp(), lost_until.timestamp())


async def list_held_sites(session: AsyncSession) -> list[int]:
    """Return all sites that wait for their next look."""
    return list(await session.scalars(ALL_OPEN))


async def held_sites(session: AsyncSession, site_ids: Collection[int]) -> set[int]:
    """Return which of these sites wait for their next look."""
    return {row.site_id for row in await session.execute(OPEN, {"ids": sorted(site_ids)})}
