from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.core.clock import parse_moment
from app.maintenance import store
from app.maintenance.schemas import Status, WindowIn, WindowOut, WindowPatch
from app.maintenance.store import WindowFilter
from app.registry.params import ProviderSlug, RegionCode, SiteIdFilter
from app.web.deps import Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.pagination import Page, cursor_codec
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version, row_id
from app.web.period_params import PlanPeriodParam
from app.web.problem_details import problems

router = APIRouter(prefix="/maintenance", tags=["operations"])

BY_START = cursor_codec(parse_moment, row_id)

Reason = Annotated[
    str | None, Query(min_length=1, max_length=4000, description="needed where a closed month is changed; recorded")
]


@router.get("", response_model=Page[WindowOut], responses=problems(403))
async def list_windows(
    session: Session,
    caller: Reader,
    period: PlanPeriodParam,
    status: Status | None = None,
    region: RegionCode = None,
    site: SiteIdFilter = None,
    provider: ProviderSlug = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Windows that reach into the period (default: 30 days back to 90 days ahead), in the order of their starts."""
    wanted = WindowFilter(period, status, region, site, provider)
    after = BY_START.read(cursor)
    found = await store.list_windows(session, wanted, caller=caller, after=after, limit=limit + 1)
    windows = [store.present(window) for window in found]
    page, next_cursor = BY_START.page(windows, limit, lambda window: (window["started_at"], window["id"]))
    return {"items": page, "next_cursor": next_cursor}


@router.post("", response_model=WindowOut, status_code=201, responses=problems(403, 409))
async def create_window(
    session: Session, caller: Writer, given: WindowIn, request: Request, response: Response, idempotency: IdempotencyKey
) -> dict[str, Any]:
    """Its seconds are `maintenance`, whatever the site's state. One in the past is counted from now on."""
    if known := await idempotency.find(session, given, caller=caller):
        return store.present(await store.get_window(session, known, caller=caller))
    made = store.present(await store.create_window(session, given, caller=caller))
    await idempotency.record(session, given, made["id"], caller=caller)
    response.headers["Location"] = f"{request.url.path}/{made['id']}"
    response.headers["ETag"] = f'"{made["version"]}"'
    return made


@router.get("/{id}", response_model=WindowOut, responses=problems(404))
async def get_window(session: Session, caller: Reader, id: RowId, response: Response) -> dict[str, Any]:
    found = store.present(await store.get_window(session, id, caller=caller))
    response.headers["ETag"] = f'"{found["version"]}"'
    return found


@router.patch("/{id}", response_model=WindowOut, responses=problems(403, 404, 409, 412))
async def patch_window(
    session: Session, caller: Writer, id: RowId, given: WindowPatch, if_match: IfMatch = None
) -> dict[str, Any]:
    """Times, title and reason change; a window stays where it was planned."""
    return store.present(await store.patch_window(session, id, given, caller=caller, if_match=read_version(if_match)))


@router.delete("/{id}", status_code=204, responses=problems(403, 404))
async def cancel_window(session: Session, caller: Writer, id: RowId, reason: Reason = None) -> None:
    """Cancels it as if it had never been planned; to end a running one early, PATCH its `ended_at`. Again: 204."""
    await store.cancel_window(session, id, caller=caller, reason=reason)
