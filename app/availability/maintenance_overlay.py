"""Which sites are under maintenance, and when: subtracted before anything is counted, never part of a judged state."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.intervals import TimeRange
from app.availability.models import MaintenanceWindow as Window
from app.core.ranges import merge_ranges
from app.postgres.engine import among
from app.registry.models import Site, SiteConfiguration

Outage = tuple[int, datetime]  # its site, and when it began


def covers(configured: type[Site] | type[SiteConfiguration]) -> ColumnElement[bool]:
    """Whether a window covers a site as it is (`Site`) or was configured; the query has to select from these tables."""
    in_region = or_(
        Window.region_code.is_(None),
        configured.village_code == Window.region_code,
        configured.village_code.startswith(Window.region_code + "."),
    )
    of_provider = or_(Window.provider_id.is_(None), Window.provider_id == configured.provider_id)
    return or_(Window.site_id == Site.id, and_(Window.site_id.is_(None), in_region, of_provider))


async def windows_of(
    session: AsyncSession, site_ids: Sequence[int], start: datetime, end: datetime
) -> dict[int, list[TimeRange]]:
    """Return when each site was under maintenance: in order, clipped to start and end; sites without any are left out.

    Overlapping windows are merged, cancelled ones ignored. A provider's or a region's window covers a site for as long
    as the site was theirs, by its dated configurations.
    """
    ranges: dict[int, list[TimeRange]] = defaultdict(list)
    for site_id, started_at, ended_at, _ in await _clipped(session, site_ids, start, end):
        ranges[site_id].append((started_at, ended_at))
    return {site_id: merge_ranges(of_site) for site_id, of_site in ranges.items()}


async def announced_windows_of(
    session: AsyncSession, outages: Collection[Outage], end: datetime
) -> dict[Outage, list[TimeRange]]:
    """Return, for each outage, its site's maintenance that had been announced when it began, as `windows_of` does.

    What was planned, or moved over the past, only later says nothing of what was expected when the site went down.
    """
    if not outages:
        return {}
    by_site: dict[int, list[tuple[TimeRange, datetime]]] = defaultdict(list)
    start = min(started_at for _, started_at in outages)
    for site_id, began_at, ended_at, announced_at in await _clipped(session, {site for site, _ in outages}, start, end):
        by_site[site_id].append(((began_at, ended_at), announced_at))
    ranges = {
        (site_id, started_at): merge_ranges(
            [window for window, announced_at in by_site[site_id] if announced_at <= started_at]
        )
        for site_id, started_at in outages
        if site_id in by_site
    }
    return {outage: of_outage for outage, of_outage in ranges.items() if of_outage}


async def _clipped(
    session: AsyncSession, site_ids: Collection[int], start: datetime, end: datetime
) -> list[tuple[int, datetime, datetime, datetime]]:
    """Return site, start and end of each window, and when it was announced."""
    configured = SiteConfiguration
    rows = await session.execute(
        select(
            configured.site_id,
            func.greatest(Window.started_at, configured.started_at, start),
            func.least(Window.ended_at, configured.ended_at, end),  # least() ignores null
            Window.announced_at,
        )
        .select_from(configured)
        .join(Site, Site.id == configured.site_id)
        .join(Window, and_(covers(configured), Window.cancelled_at.is_(None)))
        .where(among(configured.site_id, site_ids), Window.started_at < end, Window.ended_at > start)
        .where(Window.ended_at > configured.started_at)
        .where(or_(configured.ended_at.is_(None), configured.ended_at > Window.started_at))
    )
    return [
        (site_id, began_at, ended_at, announced_at)
        for site_id, began_at, ended_at, announced_at in rows
        if began_at < ended_at
    ]


@dataclass(frozen=True, slots=True)
class RunningMaintenance:
    """The sites under maintenance, and until when that holds unless a window is changed (None: indefinitely)."""

    site_ids: frozenset[int] = frozenset()
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now


async def running_now(session: AsyncSession, now: datetime) -> RunningMaintenance:
    """Every change of a window takes a registry version: read again when that changes, or when `until` has passed."""
    not_ended = Window.cancelled_at.is_(None) & (Window.ended_at > now)
    until = await session.scalar(
        select(
            func.least(func.min(Window.started_at).filter(Window.started_at > now), func.min(Window.ended_at))
        ).where(not_ended)
    )
    if until is None:
        return RunningMaintenance()
    ids = await session.scalars(select(Site.id).join(Window, covers(Site)).where(not_ended, Window.started_at <= now))
    return RunningMaintenance(frozenset(ids), until)
