from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.core.clock import parse_moment
from app.maintenance import planning, store
from app.maintenance.schemas import WindowIn, WindowOut, WindowPatch, WindowPreview, WindowStatus
from app.maintenance.store import WindowFilter
from app.registry.params import ProviderSlug, RegionCode, SiteIdFilter
from app.web.deps import Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import Page, cursor_codec
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version, row_id
from app.web.period_params import PlanPeriodParam
from app.web.problem_details import problems

router = APIRouter(prefix="/maintenance", tags=["operations"], route_class=JsonRoute)

BY_START = cursor_codec(parse_moment, row_id)

Reason = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=4000,
        description="required if it has begun; recorded",
        examples=["announced too late"],
    ),
]


@router.get("", response_model=Page[WindowOut], responses=problems(403))
async def list_maintenance_windows(
    session: Session,
    caller: Reader,
    period: PlanPeriodParam,
    status: WindowStatus | None = None,
    region: RegionCode = None,
    site: SiteIdFilter = None,
    provider: ProviderSlug = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List maintenance windows.

    Those that overlap the period (default: 30 days back to 90 days ahead), by their start.
    """
    window_filter = WindowFilter(period, status, region, site, provider)
    after = BY_START.read(cursor)
    rows = await store.list_windows(session, window_filter, caller=caller, after=after, limit=limit + 1)
    windows = [store.present(row, caller=caller) for row in rows]
    page, next_cursor = BY_START.page(windows, limit, lambda window: (window["started_at"], window["id"]))
    return {"items": page, "next_cursor": next_cursor}


@router.post("", response_model=WindowOut, status_code=201, responses=problems(403, 409))
async def create_maintenance_window(
    session: Session, caller: Writer, body: WindowIn, request: Request, response: Response, idempotency: IdempotencyKey
) -> dict[str, Any]:
    """Plan maintenance.

    The window's seconds count as `maintenance`, whatever the site's state; past ones are counted again.
    """
    if window_id := await idempotency.find(session, body, caller=caller):
        return store.present(await store.get_window(session, window_id, caller=caller), caller=caller)
    window = store.present(await planning.create_window(session, body, caller=caller), caller=caller)
    await idempotency.record(session, body, window["id"], caller=caller)
    response.headers["Location"] = f"{request.url.path}/{window['id']}"
    response.headers["ETag"] = f'"{window["version"]}"'
    return window


@router.post("/preview", response_model=WindowPreview, responses=problems(403, 409))
async def preview_maintenance_window(session: Session, caller: Writer, body: WindowIn) -> WindowPreview:
    """What a maintenance window would cover.

    With the body that would plan it; nothing is planned.
    """
    return await planning.preview_window(session, body, caller=caller)


@router.get("/{id}", response_model=WindowOut, responses=problems(404))
async def get_maintenance_window(session: Session, caller: Reader, id: RowId, response: Response) -> dict[str, Any]:
    """One maintenance window."""
    window = store.present(await store.get_window(session, id, caller=caller), caller=caller)
    response.headers["ETag"] = f'"{window["version"]}"'
    return window


@router.patch("/{id}", response_model=WindowOut, responses=problems(403, 404, 409, 412))
async def patch_maintenance_window(
    session: Session, caller: Writer, id: RowId, body: WindowPatch, if_match: IfMatch = None
) -> dict[str, Any]:
    """Change a maintenance window.

    Its times, title or reason; its scope cannot be changed.
    """
    changed = await planning.patch_window(session, id, body, caller=caller, if_match=read_version(if_match))
    return store.present(changed, caller=caller)


@router.delete("/{id}", status_code=204, responses=problems(403, 404))
async def cancel_maintenance_window(session: Session, caller: Writer, id: RowId, reason: Reason = None) -> None:
    """Cancel a maintenance window.

    As if it had never been planned; to end one early, PATCH its `ended_at`. Idempotent.
    """
    await planning.cancel_window(session, id, caller=caller, reason=reason)
