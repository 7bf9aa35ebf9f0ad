"""Maintenance windows: planned, changed, cancelled; whatever has been already is counted again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.access import audit
from app.access.scope import Caller, require_region, visible_to
from app.availability import retroactive_changes
from app.availability.intervals import TimeRange
from app.availability.maintenance_overlay import covers
from app.availability.models import MaintenanceWindow
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.core.periods import Period
from app.maintenance import scope, status
from app.maintenance.schemas import Status, WindowIn, WindowPatch
from app.maintenance.scope import Place
from app.postgres.engine import Counter, next_version, require_version
from app.registry import regions
from app.registry.models import Lifecycle, Provider, Site, SiteConfiguration

LONGEST, FURTHEST = timedelta(days=31), timedelta(days=366)


@dataclass(frozen=True, slots=True)
class WindowFilter:
    period: Period
    status: Status | None = None
    region: str | None = None
    site: int | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A window with the site or the provider it is for, and how many sites the caller sees it cover."""

    window: MaintenanceWindow
    site: Site | None
    provider: Provider | None
    sites: int

    @property
    def place(self) -> Place:
        return Place(self.site, self.window.region_code, self.provider)


def _windows(caller: Caller) -> Select[Any]:
    """The columns of `Found`."""
    counted = (
        select(func.count())
        .select_from(Site)
        .where(covers(Site.provider_id), Site.lifecycle != Lifecycle.RETIRED, visible_to(caller, Site))
        .correlate(MaintenanceWindow)
        .scalar_subquery()
    )
    on_site = aliased(Site)
    return (
        select(MaintenanceWindow, on_site, Provider, counted)
        .outerjoin(on_site, on_site.id == MaintenanceWindow.site_id)
        .outerjoin(Provider, Provider.id == MaintenanceWindow.provider_id)
        .where(scope.seen_by(caller))
    )


async def list_windows(
    session: AsyncSession, wanted: WindowFilter, *, caller: Caller, after: tuple[datetime, int] | None, limit: int
) -> list[Found]:
    """In the order of their starts. Raises NotAllowed for a region beyond the scope."""
    window, now = MaintenanceWindow, utc_now()
    query = _windows(caller).where(window.started_at < wanted.period.end, window.ended_at > wanted.period.start)
    if wanted.status is not None:
        query = query.where(status.has(wanted.status, now))
    if wanted.region is not None:
        require_region(caller, wanted.region)
        query = query.where(scope.touching(wanted.region))
    if wanted.site is not None:
        query = query.where(select(Site.id).where(Site.id == wanted.site, covers(Site.provider_id)).exists())
    if wanted.provider is not None:
        query = query.where(scope.of_provider(wanted.provider))
    if after is not None:
        query = query.where(tuple_(window.started_at, window.id) > tuple_(*after))
    rows = await session.execute(query.order_by(window.started_at, window.id).limit(limit))
    return [Found(*row) for row in rows]


async def get_window(session: AsyncSession, window_id: int, *, caller: Caller, for_update: bool = False) -> Found:
    """Raises NotFound, alike for what is unknown and what lies out of scope."""
    query = _windows(caller).where(MaintenanceWindow.id == window_id)
    if for_update:
        query = query.with_for_update(of=MaintenanceWindow).execution_options(populate_existing=True)
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise NotFound("There is no maintenance window {given} within your scope", values={"given": window_id})
    return Found(*found)


async def create_window(session: AsyncSession, given: WindowIn, *, caller: Caller) -> Found:
    """Raises Invalid with every fault, NotAllowed beyond the scope, Conflict for the same window once more."""
    faults = list(_check(given.started_at, given.ended_at))
    place = await scope.find_place(session, given, faults, caller=caller)
    if faults:
        raise Invalid(*faults)
    scope.require_planner(caller, place)
    window = MaintenanceWindow(
        started_at=given.started_at,
        ended_at=given.ended_at,
        title=given.title,
        reason=given.reason,
        created_by=caller.who,
        **place.columns,
        version=await next_version(session, Counter.REGISTRY),
    )
    await _require_new(session, window)
    session.add(window)
    await session.flush()
    await _recount(session, window, [(window.started_at, window.ended_at)], given.reason)
    made = await get_window(session, window.id, caller=caller)
    await audit.record(
        session,
        caller,
        "create",
        "maintenance",
        window.id,
        region_code=place.code,
        reason=given.reason,
        after=_record(made),
    )
    return made


async def patch_window(
    session: AsyncSession, window_id: int, given: WindowPatch, *, caller: Caller, if_match: int | None
) -> Found:
    """Raises as `create_window` does, Stale for a version that is not the window's, Conflict once it is cancelled."""
    found = await get_window(session, window_id, caller=caller, for_update=True)
    window, place = found.window, found.place
    scope.require_planner(caller, place)
    require_version(if_match, window.version)
    if window.cancelled_at is not None:
        raise Conflict(faults=[Fault("id", "cancelled", "This window has been cancelled", "Plan another")])
    before, stretch = _record(found), (window.started_at, window.ended_at)
    for name, value in given.model_dump(exclude_unset=True).items():
        setattr(window, name, value)
    if not session.is_modified(window):
        return found
    with session.no_autoflush:
        faults = list(_check(window.started_at, window.ended_at))
        if faults:
            raise Invalid(*faults)
        window.version = await next_version(session, Counter.REGISTRY)
        await _require_new(session, window)
    window.updated_at = utc_now()
    await session.flush()
    await _recount(
        session,
        window,
        retroactive_changes.symmetric_difference(stretch, (window.started_at, window.ended_at)),
        given.reason,
    )
    changed = await get_window(session, window.id, caller=caller)
    await audit.record(
        session,
        caller,
        "change",
        "maintenance",
        window.id,
        region_code=place.code,
        reason=given.reason,
        before=before,
        after=_record(changed),
    )
    return changed


async def cancel_window(session: AsyncSession, window_id: int, *, caller: Caller, reason: str | None) -> None:
    """As if it had never been planned: nothing is excused by it any more. Its row stays; again changes nothing."""
    found = await get_window(session, window_id, caller=caller, for_update=True)
    window, place = found.window, found.place
    scope.require_planner(caller, place)
    if window.cancelled_at is not None:
        return
    window.cancelled_at = window.updated_at = utc_now()
    window.cancelled_by = caller.who
    window.version = await next_version(session, Counter.REGISTRY)
    await session.flush()
    await _recount(session, window, [(window.started_at, window.ended_at)], reason)
    await audit.record(
        session,
        caller,
        "cancel",
        "maintenance",
        window.id,
        region_code=place.code,
        reason=reason,
        before=_record(found),
    )


def _check(start: datetime, end: datetime) -> Iterator[Fault]:
    if end <= start:
        yield Fault("ended_at", "ends_before_start", "It ends before it begins", "Are they swapped?")
    elif end - start > LONGEST:
        yield Fault(
            "ended_at",
            "too_long_window",
            "A window lasts at most {days} days",
            "Plan several, or suspend the site",
            values={"days": LONGEST.days},
        )
    if start > utc_now() + FURTHEST:
        yield Fault("started_at", "too_far", "It begins more than a year from now", "Check the year")


async def _require_new(session: AsyncSession, window: MaintenanceWindow) -> None:
    """Whoever comes here holds the registry's counter, so that the same window twice at once is one too."""
    same = [
        getattr(MaintenanceWindow, name).is_not_distinct_from(getattr(window, name))
        for name in ("started_at", "ended_at", "site_id", "region_code", "provider_id")
    ]
    query = select(MaintenanceWindow.id).where(*same, MaintenanceWindow.cancelled_at.is_(None))
    other = await session.scalar(query.where(MaintenanceWindow.id.is_distinct_from(window.id)).limit(1))
    if other is not None:
        raise Conflict(
            faults=[
                Fault(
                    "started_at",
                    "duplicate_window",
                    "Window {given} is the same already",
                    "Change that one: PATCH /api/v1/maintenance/{given}",
                    values={"given": other},
                )
            ]
        )


async def _recount(
    session: AsyncSession, window: MaintenanceWindow, stretches: list[TimeRange], reason: str | None
) -> None:
    """For every site that the window ever covered, by its dated configurations."""
    ids = await session.scalars(
        select(Site.id)
        .distinct()
        .join(SiteConfiguration, SiteConfiguration.site_id == Site.id)
        .join(MaintenanceWindow, covers(SiteConfiguration.provider_id))
        .where(MaintenanceWindow.id == window.id)
        .order_by(Site.id)
    )
    await retroactive_changes.invalidate(session, list(ids), stretches, reason=reason)


def present(found: Found) -> dict[str, Any]:
    window, site, provider = found.window, found.site, found.provider
    columns = (
        "id",
        "started_at",
        "ended_at",
        "site_id",
        "title",
        "reason",
        "created_by",
        "created_at",
        "updated_at",
        "cancelled_at",
        "cancelled_by",
        "version",
    )
    return {name: getattr(window, name) for name in columns} | {
        "duration_s": round((window.ended_at - window.started_at).total_seconds()),
        "site": site and site.code,
        "region": window.region_code,
        "region_name": window.region_code and regions.names()[window.region_code],
        "provider": provider and provider.slug,
        "status": status.status_of(window, utc_now()),
        "sites": found.sites,
    }


def _record(found: Found) -> dict[str, Any]:
    shown = present(found)
    names = ("started_at", "ended_at", "site", "region", "provider", "title", "reason")
    return {name: shown[name].isoformat() if isinstance(shown[name], datetime) else shown[name] for name in names}
