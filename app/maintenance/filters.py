"""Conditions on maintenance windows: their status, who sees them, and what they cover."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, true

from app.access.scope import Caller, in_region, visible_to
from app.availability.models import MaintenanceWindow
from app.maintenance.schemas import WindowStatus
from app.registry.models import Provider, Site


def has_status(status: WindowStatus, now: datetime) -> ColumnElement[bool]:
    window = MaintenanceWindow
    if status is WindowStatus.CANCELLED:
        return window.cancelled_at.is_not(None)
    by_time = {
        WindowStatus.PLANNED: window.started_at > now,
        WindowStatus.RUNNING: (window.started_at <= now) & (window.ended_at > now),
        WindowStatus.PAST: window.ended_at <= now,
    }[status]
    return window.cancelled_at.is_(None) & by_time


def status_of(window: MaintenanceWindow, now: datetime) -> WindowStatus:
    if window.cancelled_at is not None:
        return WindowStatus.CANCELLED
    if window.started_at > now:
        return WindowStatus.PLANNED
    return WindowStatus.RUNNING if window.ended_at > now else WindowStatus.PAST


def seen_by(caller: Caller) -> ColumnElement[bool]:
    """Windows of a site that the caller sees, or of a region that overlaps the caller's; for a provider, of its own."""
    of_visible_site = select(Site.id).where(Site.id == MaintenanceWindow.site_id, visible_to(caller, Site)).exists()
    of_own_provider: ColumnElement[bool] = true()
    if caller.provider_id is not None:
        provider_id = MaintenanceWindow.provider_id
        of_own_provider = or_(provider_id.is_(None), provider_id == caller.provider_id)
    of_area = and_(MaintenanceWindow.site_id.is_(None), _overlaps_region(caller.region_code), of_own_provider)
    return or_(of_visible_site, of_area)


def covers_part_of(region_code: str) -> ColumnElement[bool]:
    """Windows of a site within the region, or of a region that overlaps it."""
    site_within = in_region(Site.village_code, region_code)
    of_site = select(Site.id).where(Site.id == MaintenanceWindow.site_id, site_within).exists()
    return or_(of_site, and_(MaintenanceWindow.site_id.is_(None), _overlaps_region(region_code)))


def of_provider(slug: str) -> ColumnElement[bool]:
    """Windows of the provider's network, or of one of its sites."""
    provider_id = select(Provider.id).where(Provider.slug == slug).scalar_subquery()
    of_site = select(Site.id).where(Site.id == MaintenanceWindow.site_id, Site.provider_id == provider_id).exists()
    return or_(MaintenanceWindow.provider_id == provider_id, of_site)


def _overlaps_region(region_code: str) -> ColumnElement[bool]:
    """The window's region is this one, within it or around it; a window without a region overlaps all."""
    parts = region_code.split(".")
    ancestors = [".".join(parts[: n + 1]) for n in range(len(parts))]
    window_region = MaintenanceWindow.region_code
    return or_(window_region.is_(None), window_region.in_(ancestors), in_region(window_region, region_code))
