"""Holds a mass outage: many sites of several providers lost within a minute may be our own fault.

Canaries may have answered all the same. Until the next readings of these sites are in, their losses read as our fault.
If most sites answer again the range stays blind; if not, they are down from their first lost reading on. Sites that
push their own readings neither raise a hold nor are held: we take no further reading of them.
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

CONFIRMED_WITHIN = timedelta(seconds=60)
MIN_SITES, MIN_SHARE = 10, 0.1
PATIENCE = timedelta(seconds=60)  # the next readings are taken after 10 s, but may be cut off
REFUTED_FOR = timedelta(minutes=5)  # after a mass outage turned out real, those that follow belong to it

PROBED = Site.lifecycle == Lifecycle.ACTIVE, Site.probe != ProbeKind.PUSH
NEWLY_DOWN = text("""
    SELECT g.site_id, g.started_at, s.provider_id FROM state_segment g JOIN site s ON s.id = g.site_id
    WHERE g.ended_at IS NULL AND g.state = 'down' AND g.confirmed_at > :since AND s.probe <> 'push'
""")
READ_AGAIN = text("""
    SELECT count(*) FILTER (WHERE outcome = 'ok') AS answered, count(*) AS read FROM (
        SELECT DISTINCT ON (site_id) outcome FROM measurement
        WHERE site_id = ANY(:sites) AND slot > :since AND outcome <> 'fault' ORDER BY site_id, slot DESC) m
""")


@dataclass(slots=True)
class MassOutageReview:
    """`changed`: a range to be judged again; `held`: the sites whose outage is on hold; `recorded`: blind for good."""

    changed: BlindRange | None = None
    held: set[int] = field(default_factory=set)
    recorded: list[BlindRange] = field(default_factory=list)


async def review(session: AsyncSession, newest: datetime, *, any_lost: bool) -> MassOutageReview:
    """Settle the hold that is open, else raise one if need be.

    `newest`: the latest slot read; `any_lost`: whether a site went down with these readings.
    """
    last = await session.scalar(select(MassOutage).order_by(MassOutage.id.desc()).limit(1))
    if last is not None and last.ended_at is None:
        return await _settle(session, last, newest)
    if not any_lost or (last is not None and last.upheld is False and newest - last.detected_at < REFUTED_FOR):
        return MassOutageReview()
    down = (await session.execute(NEWLY_DOWN, {"since": newest - CONFIRMED_WITHIN})).all()
    return await _hold(session, down, newest) if await _is_mass_outage(session, down) else MassOutageReview()


async def _is_mass_outage(session: AsyncSession, down: Sequence[Row[Any]]) -> bool:
    providers = Counter(row.provider_id for row in down)
    if len(down) < MIN_SITES or sum(count > 1 for count in providers.values()) < 2:
        return False
    probed = await session.scalar(select(func.count()).select_from(Site).where(*PROBED))
    return len(down) >= MIN_SHARE * (probed or 0)


async def _hold(session: AsyncSession, down: Sequence[Row[Any]], newest: datetime) -> MassOutageReview:
    sites, started_at = sorted(row.site_id for row in down), min(row.started_at for row in down)
    session.add(MassOutage(source=CENTRAL, started_at=started_at, detected_at=newest, sites=sites))
    await session.flush()
    log.warning("mass_outage_held", sites=len(sites), providers=len({row.provider_id for row in down}))
    return MassOutageReview(_blind_range(started_at, newest), set(sites))


async def _settle(session: AsyncSession, hold: MassOutage, newest: datetime) -> MassOutageReview:
    """Decide once half of the sites were read again, or patience is over; hold them on until then."""
    counts = (await session.execute(READ_AGAIN, {"sites": hold.sites, "since": hold.detected_at})).one()
    if 2 * counts.read < len(hold.sites) and newest - hold.detected_at < PATIENCE:
        return MassOutageReview(held=set(hold.sites))
    hold.upheld = 2 * counts.answered >= counts.read
    hold.ended_at = newest + timedelta(seconds=1)
    blind = _blind_range(hold.started_at, newest)
    if hold.upheld:
        await blind_ranges.record(session, [blind], source=CENTRAL)
    await session.flush()
    log.warning("mass_outage_settled", our_fault=hold.upheld, answered=counts.answered, read=counts.read)
    return MassOutageReview(blind, recorded=[blind] if hold.upheld else [])


def _blind_range(started_at: datetime, newest: datetime) -> BlindRange:
    return BlindRange(started_at, newest + timedelta(seconds=1), "uplink")
