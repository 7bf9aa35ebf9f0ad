"""Plans, changes and cancels maintenance windows; past seconds that this affects are counted again."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller
from app.availability import retroactive_changes
from app.availability.intervals import TimeRange
from app.availability.maintenance_overlay import covers
from app.availability.models import MaintenanceWindow
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid
from app.maintenance.schemas import WindowIn, WindowPatch, WindowPreview
from app.maintenance.store import WindowRow, announced_late, count_outages, get_window
from app.maintenance.window_scope import WindowScope, find_scope, require_planner
from app.postgres.engine import Counter, next_version, require_version
from app.registry.models import Site, SiteConfiguration

MAX_LENGTH, MAX_AHEAD = timedelta(days=31), timedelta(days=366)


async def create_window(session: AsyncSession, body: WindowIn, *, caller: Caller) -> WindowRow:
    """Raises Invalid with every fault, NotAllowed for a scope beyond the caller's, Conflict for a duplicate."""
    times = (body.started_at, body.ended_at)
    faults = [*_check_times(*times), *retroactive_changes.check_reason([times], body.reason)]
    scope = await _require_scope(session, body, faults, caller=caller)
    window = _window(body, scope, caller)
    window.version = await next_version(session, Counter.REGISTRY)
    await _require_unique(session, window)
    session.add(window)
    await session.flush()
    await _recount(session, window, [times], body.reason)
    created = await get_window(session, window.id, caller=caller)
    await audit.record(
        session,
        caller,
        "create",
        "maintenance",
        window.id,
        region_code=scope.region_code,
        reason=body.reason,
        after=_audit_fields(created),
    )
    return created


async def preview_window(session: AsyncSession, body: WindowIn, *, caller: Caller) -> WindowPreview:
    """Return what the window would cover; raises what `create_window` does, but for a missing reason.

    It is stored as it would be, so that the same query tells what it covers, and taken back.
    """
    times = (body.started_at, body.ended_at)
    scope = await _require_scope(session, body, [*_check_times(*times)], caller=caller)
    window = _window(body, scope, caller)
    await _require_unique(session, window)
    savepoint = await session.begin_nested()
    window.version = 0
    session.add(window)
    await session.flush()
    await session.refresh(window)
    row = await get_window(session, window.id, caller=caller)
    preview = WindowPreview(
        sites=row.sites,
        outages=await count_outages(session, window.id, caller=caller),
        duration_s=round((body.ended_at - body.started_at).total_seconds()),
        announced_late=announced_late(window),
        reason_required=any(retroactive_changes.check_reason([times], None)),
    )
    await savepoint.rollback()
    return preview


async def _require_scope(session: AsyncSession, body: WindowIn, faults: list[Fault], *, caller: Caller) -> WindowScope:
    """Raises Invalid with these and every fault of the scope, NotAllowed."""
    scope = await find_scope(session, body, faults, caller=caller)
    if faults:
        raise Invalid(*faults)
    require_planner(caller, scope)
    return scope


def _window(body: WindowIn, scope: WindowScope, caller: Caller) -> MaintenanceWindow:
    return MaintenanceWindow(
        started_at=body.started_at,
        ended_at=body.ended_at,
        title=body.title,
        reason=body.reason,
        created_by=caller.who,
        **scope.columns,
    )


async def patch_window(
    session: AsyncSession, window_id: int, body: WindowPatch, *, caller: Caller, if_match: int | None
) -> WindowRow:
    """Raises what `create_window` does, Stale for another version, Conflict if it is cancelled."""
    row = await get_window(session, window_id, caller=caller, for_update=True)
    window, scope = row.window, row.scope
    require_planner(caller, scope)
    require_version(if_match, window.version)
    if window.cancelled_at is not None:
        raise Conflict(faults=[Fault("id", "cancelled", "This window is cancelled", "Plan a new one")])
    before, old_times = _audit_fields(row), (window.started_at, window.ended_at)
    for name, value in body.model_dump(exclude_unset=True).items():
        setattr(window, name, value)
    if not session.is_modified(window):
        return row
    with session.no_autoflush:
        times = (window.started_at, window.ended_at)
        changed_times = retroactive_changes.symmetric_difference(old_times, times)
        faults = [*_check_times(*times), *retroactive_changes.check_reason(changed_times, body.reason)]
        if faults:
            raise Invalid(*faults)
        window.version = await next_version(session, Counter.REGISTRY)
        await _require_unique(session, window)
    window.updated_at = utc_now()
    if _announces_past(old_times, times, window.updated_at):
        window.announced_at = window.updated_at
    await session.flush()
    await _recount(session, window, changed_times, body.reason)
    changed = await get_window(session, window.id, caller=caller)
    await audit.record(
        session,
        caller,
        "change",
        "maintenance",
        window.id,
        region_code=scope.region_code,
        reason=body.reason,
        before=before,
        after=_audit_fields(changed),
    )
    return changed


async def cancel_window(session: AsyncSession, window_id: int, *, caller: Caller, reason: str | None) -> None:
    """Cancel a window as if it had never been planned; its row is kept. Idempotent."""
    row = await get_window(session, window_id, caller=caller, for_update=True)
    window, scope = row.window, row.scope
    require_planner(caller, scope)
    if window.cancelled_at is not None:
        return
    times = (window.started_at, window.ended_at)
    if faults := [*retroactive_changes.check_reason([times], reason)]:
        raise Invalid(*faults)
    window.cancelled_at = window.updated_at = utc_now()
    window.cancelled_by = caller.who
    window.version = await next_version(session, Counter.REGISTRY)
    await session.flush()
    await _recount(session, window, [times], reason)
    await audit.record(
        session,
        caller,
        "cancel",
        "maintenance",
        window.id,
        region_code=scope.region_code,
        reason=reason,
        before=_audit_fields(row),
    )


def _check_times(start: datetime, end: datetime) -> Iterator[Fault]:
    if end <= start:
        yield Fault(
            "ended_at",
            "ends_before_start",
            "The end is not after the start",
            "Are they swapped?" if end < start else "Give a later end",
        )
    elif end - start > MAX_LENGTH:
        yield Fault(
            "ended_at",
            "too_long_window",
            "A window lasts at most {days} days",
            "Plan several, or suspend the site",
            values={"days": MAX_LENGTH.days},
        )
    if start > utc_now() + MAX_AHEAD:
        yield Fault("started_at", "too_far", "The start is more than a year from now", "Check the year")


def _announces_past(before: TimeRange, after: TimeRange, now: datetime) -> bool:
    """Whether the window now covers seconds that were over, and that it did not cover before."""
    added = [(after[0], min(before[0], after[1])), (max(before[1], after[0]), after[1])]
    return any(start < end and start < now - retroactive_changes.JUST_NOW for start, end in added)


async def _require_unique(session: AsyncSession, window: MaintenanceWindow) -> None:
    """Raises Conflict for a duplicate. The caller holds the registry's counter: concurrent duplicates are found too."""
    same_columns = [
        getattr(MaintenanceWindow, name).is_not_distinct_from(getattr(window, name))
        for name in ("started_at", "ended_at", "site_id", "region_code", "provider_id")
    ]
    query = select(MaintenanceWindow.id).where(*same_columns, MaintenanceWindow.cancelled_at.is_(None))
    duplicate = await session.scalar(query.where(MaintenanceWindow.id.is_distinct_from(window.id)).limit(1))
    if duplicate is not None:
        raise Conflict(
            faults=[
                Fault(
                    "started_at",
                    "duplicate_window",
                    "Window {given} has the same times and scope",
                    "Change that one: PATCH /api/v1/maintenance/{given}",
                    values={"given": duplicate},
                )
            ]
        )


async def _recount(
    session: AsyncSession, window: MaintenanceWindow, ranges: list[TimeRange], reason: str | None
) -> None:
    """Have every site counted again that the window ever covered, by its dated configurations."""
    site_ids = await session.scalars(
        select(Site.id)
        .distinct()
        .join(SiteConfiguration, SiteConfiguration.site_id == Site.id)
        .join(MaintenanceWindow, covers(SiteConfiguration))
        .where(MaintenanceWindow.id == window.id)
        .order_by(Site.id)
    )
    await retroactive_changes.invalidate(session, list(site_ids), ranges, reason=reason)


def _audit_fields(row: WindowRow) -> dict[str, Any]:
    window = row.window
    return {
        "started_at": window.started_at.isoformat(),
        "ended_at": window.ended_at.isoformat(),
        "site": row.site and row.site.code,
        "region": window.region_code,
        "provider": row.provider and row.provider.slug,
        "title": window.title,
        "reason": window.reason,
    }
