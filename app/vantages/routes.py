"""Vantages and probers, which the province manages."""

from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from app.core.clock import utc_now
from app.registry import store as registry
from app.registry.params import SiteId
from app.vantages import store
from app.vantages.schemas import ProberIn, ProberMade, ProberOut, ProberPatch, SiteVantagesOut, VantageIn, VantageOut
from app.vantages.site_looks import read_site_looks
from app.web.deps import ProberManager, Reader, Session
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version
from app.web.problem_details import problems

router = APIRouter(tags=["this service"], route_class=JsonRoute)

Number = Annotated[int, Path(ge=0, le=2**15 - 1, description="0: where the worker runs; else 1 to 8", examples=[1])]


@router.get("/vantages", response_model=Page[VantageOut], responses=problems(403))
async def list_vantages(session: Session, caller: Reader) -> dict[str, Any]:
    """List vantages: the networks from which sites are looked at."""
    return {"items": await store.list_vantages(session), "next_cursor": None}


@router.get("/sites/{id}/vantages", response_model=SiteVantagesOut, responses=problems(404), tags=["one site"])
async def list_site_vantages(session: Session, caller: Reader, id: SiteId) -> dict[str, Any]:
    """From where one site is looked at.

    What each vantage saw last, and since when it loses the site.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    return {"site_id": site.id, "code": site.code, "items": await read_site_looks(session, site, utc_now())}


@router.put("/vantages/{number}", response_model=VantageOut, responses=problems(403, 404, 409, 412))
async def put_vantage(
    session: Session,
    caller: ProberManager,
    number: Number,
    body: VantageIn,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Name a vantage, a new one or anew.

    With `provider`, whose network it stands in: from then on it does not decide the state of that provider's sites
    while any other vantage can see them.
    """
    vantage = await store.put_vantage(session, number, body, caller=caller, if_match=read_version(if_match))
    response.headers["ETag"] = f'"{vantage["version"]}"'
    return vantage


@router.get("/probers", response_model=Page[ProberOut], responses=problems(403))
async def list_probers(
    session: Session,
    caller: Reader,
    active: Annotated[
        bool | None, Query(description="only those that are not revoked, or that are", examples=[True])
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List probers, with how each of them is."""
    rows = await store.list_probers(session, caller=caller, active=active, after=BY_ID.read(cursor), limit=limit + 1)
    page, next_cursor = BY_ID.page(rows, limit, itemgetter("id"))
    return {"items": page, "next_cursor": next_cursor}


@router.post("/probers", response_model=ProberMade, status_code=201, responses=problems(403, 409))
async def create_prober(
    session: Session,
    caller: ProberManager,
    body: ProberIn,
    request: Request,
    response: Response,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Create a prober.

    Its token is shown once: give it to `sinyal prober` on its machine.
    """
    token = None
    prober_id = await idempotency.find(session, body, caller=caller)
    if prober_id is None:
        prober_id, token = await store.create_prober(session, name=body.name, vantage=body.vantage, caller=caller)
        await idempotency.record(session, body, prober_id, caller=caller)
    response.headers["Location"] = f"{request.url.path}/{prober_id}"
    response.headers["Cache-Control"] = "no-store"
    return await store.get_prober(session, prober_id, caller=caller) | {"token": token}


@router.get("/probers/{id}", response_model=ProberOut, responses=problems(403, 404))
async def get_prober(session: Session, caller: Reader, id: RowId) -> dict[str, Any]:
    """One prober."""
    return await store.get_prober(session, id, caller=caller)


@router.patch("/probers/{id}", response_model=ProberOut, responses=problems(403, 404, 409))
async def patch_prober(session: Session, caller: ProberManager, id: RowId, body: ProberPatch) -> dict[str, Any]:
    """Rename a prober."""
    await store.rename_prober(session, id, body.name, caller=caller)
    return await store.get_prober(session, id, caller=caller)


@router.delete("/probers/{id}", status_code=204, responses=problems(403, 404, 409))
async def revoke_prober(session: Session, caller: ProberManager, id: RowId) -> None:
    """Revoke a prober.

    Its token ends; what it delivered stays. Idempotent.
    """
    await store.revoke_prober(session, id, caller=caller)


@router.post("/probers/{id}/token", response_model=ProberMade, responses=problems(403, 404, 409))
async def rotate_prober_token(session: Session, caller: ProberManager, id: RowId, response: Response) -> dict[str, Any]:
    """Give a prober a new token.

    The one before ends at once; what its process spooled is delivered under the new one.
    """
    token = await store.rotate_token(session, id, caller=caller)
    response.headers["Cache-Control"] = "no-store"
    return await store.get_prober(session, id, caller=caller) | {"token": token}
