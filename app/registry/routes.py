import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from app.core import i18n
from app.core.errors import Fault, Invalid
from app.registry import geojson, lenient_body, providers, regions, store
from app.registry.geojson import GEOJSON_TYPE
from app.registry.lenient_body import PatchBody, SiteBody
from app.registry.models import Level, Region
from app.registry.params import ProviderId, RegionPath, RegionText, Search, SiteId, SitesFilter
from app.registry.schemas import (
    ProviderIn,
    ProviderOut,
    ProviderPatch,
    RegionDetail,
    RegionOut,
    SiteDryRunOut,
    SiteIn,
    SiteOut,
    SitePatch,
)
from app.registry.serializer import serialize_site
from app.registry.store import SiteOrder
from app.web.conditional import parse_etags
from app.web.deps import Provincial, Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page, cursor_codec
from app.web.params import Cursor, IfMatch, Limit, read_version
from app.web.problem_details import fault_out, problems
from probes.policy import AddressPolicy

router = APIRouter(route_class=JsonRoute)

BY_CODE = cursor_codec(str)


class SitesOut(Page[SiteOut]):
    count: int | None = Field(description="how many match, on the first page; null on the others", examples=[1038])


DryRun = Annotated[
    bool, Query(description="only check it: the write's own problem, or 200 with its warnings; nothing is written")
]


@router.get(
    "/regions",
    response_model=Page[RegionOut],
    responses=problems()
    | {
        200: {"content": {GEOJSON_TYPE: {"schema": {"type": "object"}}}},
        304: {"description": "The GeoJSON is unchanged since the ETag of If-None-Match"},
    },
    tags=["regions"],
)
async def list_regions(
    session: Session,
    caller: Reader,
    request: Request,
    level: Level | None = None,
    parent: RegionText = None,
    q: Search = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    format: Annotated[Literal["json", "geojson"], Query(description="geojson is not paginated")] = "json",
) -> Any:
    """List regions.

    By code: of a level, below a parent, or matching (part of) a name. In GeoJSON, districts have their boundaries
    (indicative, not legal ones), all others a point.
    """
    parent = await regions.require_current_code(session, parent, field="parent")
    if format == "geojson":
        _refuse_paging(request)
        return _geojson(await regions.list_regions(session, level=level, parent=parent, q=q), request)
    rows: list[Region] = await regions.list_regions(
        session, level=level, parent=parent, q=q, after=BY_CODE.read(cursor), limit=limit + 1
    )
    page, next_cursor = BY_CODE.page(rows, limit, lambda region: region.code)
    return {"items": page, "next_cursor": next_cursor}


def _refuse_paging(request: Request) -> None:
    faults = [
        Fault(name, "whole_only", "GeoJSON is not paginated", "Leave it out")
        for name in ("limit", "cursor")
        if name in request.query_params
    ]
    if faults:
        raise Invalid(*faults)


def _geojson(rows: list[Region], request: Request) -> Response:
    """Cacheable for a day: regions change by decree. The ETag is weak because the body may be compressed."""
    body = geojson.collection(rows)
    tag = f'"{hashlib.blake2s(body, digest_size=8).hexdigest()}"'
    headers = {"ETag": f"W/{tag}", "Cache-Control": "private, max-age=86400"}
    if tag in parse_etags(request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=GEOJSON_TYPE, headers=headers)


@router.get("/regions/{code}", response_model=RegionDetail, responses=problems(404), tags=["regions"])
async def get_region(session: Session, caller: Reader, code: RegionPath) -> Any:
    """One region, by its present or a former code."""
    region, aliases = await regions.get_region(session, code)
    return RegionOut.model_validate(region).model_dump() | {"aliases": aliases}


@router.get("/providers", response_model=Page[ProviderOut], responses=problems(), tags=["registry"])
async def list_providers(session: Session, caller: Reader, limit: Limit = 100, cursor: Cursor = None) -> Any:
    """List providers.

    A provider's own account sees only itself.
    """
    rows = await providers.list_providers(session, caller=caller, after=BY_ID.read(cursor), limit=limit + 1)
    page, next_cursor = BY_ID.page(rows, limit, lambda provider: provider.id)
    return {"items": page, "next_cursor": next_cursor}


@router.post("/providers", response_model=ProviderOut, status_code=201, responses=problems(403, 409), tags=["registry"])
async def create_provider(session: Session, caller: Provincial, body: ProviderIn, idempotency: IdempotencyKey) -> Any:
    """Register a provider.

    Its slug is permanent.
    """
    if provider_id := await idempotency.find(session, body, caller=caller):
        return await providers.get_provider(session, str(provider_id), caller=caller)
    provider = await providers.create_provider(session, body, caller=caller)
    await idempotency.record(session, body, provider.id, caller=caller)
    return provider


@router.get("/providers/{id}", response_model=ProviderOut, responses=problems(404), tags=["registry"])
async def get_provider(session: Session, caller: Reader, id: ProviderId) -> Any:
    """One provider, by id or slug."""
    return await providers.get_provider(session, id, caller=caller)


@router.patch("/providers/{id}", response_model=ProviderOut, responses=problems(403, 404), tags=["registry"])
async def patch_provider(session: Session, caller: Provincial, id: ProviderId, body: ProviderPatch) -> Any:
    """Change a provider.

    Its name or its aliases; its slug is permanent.
    """
    return await providers.change_provider(session, id, body, caller=caller)


@router.get("/sites", response_model=SitesOut, responses=problems(403), tags=["registry"])
async def list_sites(
    session: Session,
    caller: Reader,
    filters: SitesFilter,
    order: Annotated[SiteOrder, Query(description="keep it while you turn pages")] = SiteOrder.OLDEST,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List sites with their current state.

    Those within your scope. `q` matches name, host, or the start of the code.
    """
    after = BY_ID.read(cursor)
    rows = await store.list_sites(session, filters, caller=caller, after=after, limit=limit + 1, order=order)
    names = regions.names()
    page, next_cursor = BY_ID.page(rows, limit, lambda row: row[0].id)
    items = [serialize_site(site, status, names, caller=caller) for site, status in page]
    count = await store.count_sites(session, filters, caller=caller) if cursor is None else None
    return {"items": items, "next_cursor": next_cursor, "count": count}


@router.post(
    "/sites",
    response_model=SiteOut,
    status_code=201,
    responses=problems(403, 409) | {200: {"model": SiteDryRunOut, "description": "The dry run found no fault"}},
    tags=["registry"],
)
async def create_site(
    session: Session,
    caller: Writer,
    request: Request,
    response: Response,
    body: SiteBody,
    idempotency: IdempotencyKey,
    dry_run: DryRun = False,
) -> Any:
    """Register a site.

    It is monitored within a minute. Repeating the `Idempotency-Key` returns the same site.
    """
    policy = _policy(request)
    site_in = await lenient_body.require_valid(session, body, SiteIn, caller=caller, policy=policy)
    if dry_run:
        return _dry_run(await store.check_new_site(session, site_in, caller=caller, policy=policy), request)
    if site_id := await idempotency.find(session, site_in, caller=caller):
        existing, status = await store.get_site(session, str(site_id), caller=caller)
        return serialize_site(existing, status, regions.names(), caller=caller)
    site, status = await store.create_site(session, site_in, caller=caller, policy=policy)
    await idempotency.record(session, site_in, site.id, caller=caller)
    response.headers["Location"] = f"{request.url.path}/{site.id}"
    response.headers["ETag"] = f'"{site.version}"'
    return serialize_site(site, status, regions.names(), caller=caller)


@router.get("/sites/{id}", response_model=SiteOut, responses=problems(404), tags=["registry"])
async def get_site(session: Session, caller: Reader, id: SiteId, response: Response) -> dict[str, Any]:
    """One site, by id or code.

    Its version is the ETag.
    """
    site, status = await store.get_site(session, id, caller=caller)
    response.headers["ETag"] = f'"{site.version}"'
    return serialize_site(site, status, regions.names(), caller=caller)


@router.patch(
    "/sites/{id}",
    response_model=SiteOut | SiteDryRunOut,
    responses=problems(403, 404, 409, 412),
    tags=["registry"],
)
async def patch_site(
    session: Session,
    caller: Writer,
    request: Request,
    id: SiteId,
    body: PatchBody,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
) -> Any:
    """Change a site.

    Only the fields sent change. A move to another district is the province's; past seconds keep their configuration.
    """
    policy, seen = _policy(request), read_version(if_match)
    patch = await lenient_body.require_valid(session, body, SitePatch, caller=caller, policy=policy, ident=id)
    if dry_run:
        return _dry_run(
            await store.check_change(session, id, patch, caller=caller, policy=policy, if_match=seen), request
        )
    site, status = await store.patch_site(session, id, patch, caller=caller, policy=policy, if_match=seen)
    return serialize_site(site, status, regions.names(), caller=caller)


@router.delete("/sites/{id}", status_code=204, responses=problems(403, 404), tags=["registry"])
async def retire_site(session: Session, caller: Writer, id: SiteId) -> None:
    """Retire a site.

    It is no longer monitored, and its history stays. Idempotent.
    """
    await store.retire_site(session, id, caller=caller)


def _policy(request: Request) -> AddressPolicy:
    return request.app.state.policy  # type: ignore[no-any-return]


def _dry_run(warnings: list[Fault], request: Request) -> Response:
    language = i18n.preferred_language(request.headers.get("accept-language"))
    content = {"dry_run": True, "warnings": [fault_out(fault, language) for fault in warnings]}
    return JSONResponse(content, headers={"Content-Language": language})
