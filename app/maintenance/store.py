"""Maintenance windows as the caller sees them: listed, looked up and serialized."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, ScalarSelect, Select, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.access.scope import Caller, require_region, visible_to
from app.availability.maintenance_overlay import covers
from app.availability.models import MaintenanceWindow
from app.availability.retroactive_changes import JUST_NOW
from app.core.clock import utc_now
from app.core.errors import NotFound
from app.core.periods import Period
from app.incidents.models import IncidentSite
from app.maintenance import filters
from app.maintenance.schemas import WindowStatus
from app.maintenance.window_scope import WindowScope
from app.registry import regions
from app.registry.models import Lifecycle, Provider, Site


@dataclass(frozen=True, slots=True)
class WindowFilter:
    period: Period
    status: WindowStatus | None = None
    region: str | None = None
    site: int | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window with its site or provider, how many sites that the caller sees it covers, and what outlasted it."""

    window: MaintenanceWindow
    site: Site | None
    provider: Provider | None
    sites: int
    overrun_sites: int
    overrun_s: int

    @property
    def scope(self) -> WindowScope:
        return WindowScope(self.site, self.window.region_code, self.provider)


def _windows(caller: Caller) -> Select[Any]:
    """Select the columns of WindowRow, of windows that the caller sees."""
    covered_sites = (
        select(func.count())
        .select_from(Site)
        .where(covers(Site), Site.lifecycle != Lifecycle.RETIRED, visible_to(caller, Site))
        .correlate(MaintenanceWindow)
        .scalar_subquery()
    )
    own_site = aliased(Site)
    overrun_sites, overrun_s = _overrun(caller)
    return (
        select(MaintenanceWindow, own_site, Provider, covered_sites, overrun_sites, overrun_s)
        .outerjoin(own_site, own_site.id == MaintenanceWindow.site_id)
        .outerjoin(Provider, Provider.id == MaintenanceWindow.provider_id)
        .where(filters.seen_by(caller))
    )


def _overrun(caller: Caller) -> tuple[ScalarSelect[int], ScalarSelect[int]]:
    """Select how many sites stayed down beyond a window in which they went down, and by how many seconds at most."""
    window, now = MaintenanceWindow, utc_now()
    ended_at = func.coalesce(IncidentSite.ended_at, now)
    outlasting = (
        select(func.count(IncidentSite.site_id.distinct()))
        .where(*_covered_outages(caller), window.cancelled_at.is_(None), window.ended_at <= now)
        .where(IncidentSite.started_at >= window.started_at, IncidentSite.started_at < window.ended_at)
        .where(ended_at > window.ended_at)
        .correlate(window)
    )
    beyond_s = func.coalesce(func.max(func.extract("epoch", ended_at - window.ended_at)), 0)
    return outlasting.scalar_subquery(), outlasting.with_only_columns(cast(beyond_s, Integer)).scalar_subquery()


def _covered_outages(caller: Caller) -> tuple[ColumnElement[bool], ...]:
    """Conditions on outages of the sites that a window covers, of those that the caller sees."""
    return IncidentSite.site_id == Site.id, IncidentSite.withdrawn_at.is_(None), covers(Site), visible_to(caller, Site)


async def count_outages(session: AsyncSession, window_id: int, *, caller: Caller) -> int:
    """Return how many outages lie within a window, wholly or in part, of the sites that the caller sees."""
    window = MaintenanceWindow
    query = select(func.count(IncidentSite.id)).where(
        *_covered_outages(caller),
        window.id == window_id,
        IncidentSite.started_at < window.ended_at,
        func.coalesce(IncidentSite.ended_at, utc_now()) > window.started_at,
    )
    return int(await session.scalar(query) or 0)


async def list_windows(
    session: AsyncSession,
    window_filter: WindowFilter,
    *,
    caller: Caller,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[WindowRow]:
    """Return windows by their start. Raises NotAllowed for a region out of scope."""
    window, now = MaintenanceWindow, utc_now()
    query = _windows(caller).where(
        window.started_at < window_filter.period.end, window.ended_at > window_filter.period.start
    )
    if window_filter.status is not None:
        query = query.where(filters.has_status(window_filter.status, now))
    if window_filter.region is not None:
        require_region(caller, window_filter.region)
        query = query.where(filters.covers_part_of(window_filter.region))
    if window_filter.site is not None:
        query = query.where(select(Site.id).where(Site.id == window_filter.site, covers(Site)).exists())
    if window_filter.provider is not None:
        query = query.where(filters.of_provider(window_filter.provider))
    if after is not None:
        query = query.where(tuple_(window.started_at, window.id) > tuple_(*after))
    rows = await session.execute(query.order_by(window.started_at, window.id).limit(limit))
    return [WindowRow(*row) for row in rows]


async def get_window(session: AsyncSession, window_id: int, *, caller: Caller, for_update: bool = False) -> WindowRow:
    """Raises NotFound, alike for an unknown window and one out of scope."""
    query = _windows(caller).where(MaintenanceWindow.id == window_id)
    if for_update:
        query = query.with_for_update(of=MaintenanceWindow).execution_options(populate_existing=True)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no maintenance window {given} within your scope", values={"given": window_id})
    return WindowRow(*row)


def present(row: WindowRow, *, caller: Caller) -> dict[str, Any]:
    """Return the fields of a WindowOut; a provider reads no names."""
    window, site, provider = row.window, row.site, row.provider
    columns = (
        "id",
        "started_at",
        "ended_at",
        "site_id",
        "title",
        "reason",
        "created_at",
        "announced_at",
        "updated_at",
        "cancelled_at",
        "version",
    )
    return {name: getattr(window, name) for name in columns} | {
        "created_by": window.created_by if caller.provider_id is None else None,
        "cancelled_by": window.cancelled_by if caller.provider_id is None else None,
        "duration_s": round((window.ended_at - window.started_at).total_seconds()),
        "site": site and site.code,
        "region": window.region_code,
        "region_name": window.region_code and regions.names()[window.region_code],
        "provider": provider and provider.slug,
        "announced_late": announced_late(window),
        "status": filters.status_of(window, utc_now()),
        "sites": row.sites,
        "overrun_sites": row.overrun_sites,
        "overrun_s": row.overrun_s,
    }


def announced_late(window: MaintenanceWindow) -> bool:
    return window.announced_at > window.started_at + JUST_NOW
