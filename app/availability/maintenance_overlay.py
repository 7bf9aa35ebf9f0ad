"""Maintenance as the arithmetic sees it: an overlay that is subtracted before anything is counted, never judged."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.models import MaintenanceWindow as Planned
from app.postgres.engine import among
from app.registry.models import Site, SiteConfiguration

Stretch = tuple[datetime, datetime]


def covers(provider_id: Any) -> ColumnElement[bool]:
    """Whether a window covers a site whose provider is this one: both tables are the query's."""
    in_its_region = or_(
        Planned.region_code.is_(None),
        Site.village_code == Planned.region_code,
        Site.village_code.startswith(Planned.region_code + "."),
    )
    of_its_provider = or_(Planned.provider_id.is_(None), Planned.provider_id == provider_id)
    return or_(Planned.site_id == Site.id, and_(Planned.site_id.is_(None), in_its_region, of_its_provider))


async def windows_of(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime
) -> dict[int, list[Stretch]]:
    """When each site was under maintenance: in the order of time, clipped to start and end.

    Windows that overlap are one stretch, cancelled ones none. A provider's window covers a site for as long as the
    site was that provider's (its dated configurations). A site without any is left out.
    """
    configured = SiteConfiguration
    rows = await session.execute(
        select(
            configured.site_id,
            func.greatest(Planned.started_at, configured.started_at, start),
            func.least(Planned.ended_at, configured.ended_at, end),  # least() passes over a null
        )
        .select_from(configured)
        .join(Site, Site.id == configured.site_id)
        .join(Planned, and_(covers(configured.provider_id), Planned.cancelled_at.is_(None)))
        .where(among(configured.site_id, site_ids), Planned.started_at < end, Planned.ended_at > start)
        .where(Planned.ended_at > configured.started_at)
        .where(or_(configured.ended_at.is_(None), configured.ended_at > Planned.started_at))
    )
    found: dict[int, list[Stretch]] = defaultdict(list)
    for site_id, begins, ends in rows:
        if begins < ends:
            found[site_id].append((begins, ends))
    return {site_id: merged(stretches) for site_id, stretches in found.items()}


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Those that overlap or touch as one, in the order of time."""
    out: list[Stretch] = []
    for start, end in sorted(stretches):
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], end)
        else:
            out.append((start, end))
    return out


@dataclass(frozen=True, slots=True)
class Running:
    """The sites under maintenance, and until when that stays so unless somebody plans anew (None: for good)."""

    site_ids: frozenset[int] = frozenset()
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now


async def running_now(session: AsyncSession, now: datetime) -> Running:
    """Two small statements over the windows that have not ended. Every change of one takes a registry version."""
    ahead = Planned.cancelled_at.is_(None) & (Planned.ended_at > now)
    until = await session.scalar(
        select(
            func.least(func.min(Planned.started_at).filter(Planned.started_at > now), func.min(Planned.ended_at))
        ).where(ahead)
    )
    if until is None:
        return Running()
    ids = await session.scalars(
        select(Site.id).join(Planned, covers(Site.provider_id)).where(ahead, Planned.started_at <= now)
    )
    return Running(frozenset(ids), until)
