"""Many sites of several providers lost within a minute: perhaps it was us, though our canaries answered.

Until a further round of looks has come back, what was lost reads as our fault. If most of the sites answer again it
was ours; if they do not they are out, from the first look that was lost. Sites that report themselves neither raise a
suspicion nor suffer it: there is no further look at them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.judging.models import MassOutage
from app.registry.models import Lifecycle, Site
from probes.contract import CENTRAL, ProbeKind

log = structlog.get_logger()

WITHIN = timedelta(seconds=60)
LEAST_SITES, LEAST_SHARE = 10, 0.1
PATIENCE = timedelta(seconds=60)  # the further round comes after 10 s; it may be cut off
BELIEVED = timedelta(minutes=5)  # once a mass of outages has turned out real, those that follow are its own

LOOKED_AT = Site.lifecycle == Lifecycle.ACTIVE, Site.probe != ProbeKind.PUSH
LOST = text("""
    SELECT g.site_id, g.started_at, s.provider_id FROM state_segment g JOIN site s ON s.id = g.site_id
    WHERE g.ended_at IS NULL AND g.state = 'down' AND g.confirmed_at > :since AND s.probe <> 'push'
""")
HEARD = text("""
    SELECT count(*) FILTER (WHERE outcome = 'ok') AS answered, count(*) AS heard FROM (
        SELECT DISTINCT ON (site_id) outcome FROM measurement
        WHERE site_id = ANY(:sites) AND slot > :since AND outcome <> 'fault' ORDER BY site_id, slot DESC) m
""")


@dataclass(slots=True)
class MassOutageReview:
    """`changed`: a stretch that reads otherwise from now on; `suspects`: sites to be looked at again soon."""

    changed: BlindRange | None = None
    suspects: set[int] = field(default_factory=set)
    blind: list[BlindRange] = field(default_factory=list)  # recorded for good


async def review(session: AsyncSession, newest: datetime, *, lost: bool) -> MassOutageReview:
    """Settles a suspicion that is open; raises one if `lost` (sites went down with the readings up to `newest`)."""
    last = await session.scalar(select(MassOutage).order_by(MassOutage.id.desc()).limit(1))
    if last is not None and last.ended_at is None:
        return await _settle(session, last, newest)
    if not lost or (last is not None and last.upheld is False and newest - last.detected_at < BELIEVED):
        return MassOutageReview()
    rows = (await session.execute(LOST, {"since": newest - WITHIN})).all()
    return await _raise(session, rows, newest) if await _is_mass(session, rows) else MassOutageReview()


async def _is_mass(session: AsyncSession, rows: Sequence[Row[Any]]) -> bool:
    providers = Counter(row.provider_id for row in rows)
    if len(rows) < LEAST_SITES or sum(count > 1 for count in providers.values()) < 2:
        return False
    active = await session.scalar(select(func.count()).select_from(Site).where(*LOOKED_AT))
    return len(rows) >= LEAST_SHARE * (active or 0)


async def _raise(session: AsyncSession, rows: Sequence[Row[Any]], newest: datetime) -> MassOutageReview:
    sites, started_at = sorted(row.site_id for row in rows), min(row.started_at for row in rows)
    session.add(MassOutage(source=CENTRAL, started_at=started_at, detected_at=newest, sites=sites))
    await session.flush()
    log.warning("mass_outage_suspected", sites=len(sites), providers=len({row.provider_id for row in rows}))
    return MassOutageReview(_range(started_at, newest), set(sites))


async def _settle(session: AsyncSession, open_one: MassOutage, newest: datetime) -> MassOutageReview:
    counted = (await session.execute(HEARD, {"sites": open_one.sites, "since": open_one.detected_at})).one()
    if 2 * counted.heard < len(open_one.sites) and newest - open_one.detected_at < PATIENCE:
        return MassOutageReview(suspects=set(open_one.sites))
    open_one.upheld = 2 * counted.answered >= counted.heard
    open_one.ended_at = newest + timedelta(seconds=1)
    settled = _range(open_one.started_at, newest)
    if open_one.upheld:
        await blind_ranges.record(session, [settled], source=CENTRAL)
    await session.flush()
    log.warning("mass_outage_settled", ours=open_one.upheld, answered=counted.answered, heard=counted.heard)
    return MassOutageReview(settled, blind=[settled] if open_one.upheld else [])


def _range(started_at: datetime, newest: datetime) -> BlindRange:
    return BlindRange(started_at, newest + timedelta(seconds=1), "uplink")
