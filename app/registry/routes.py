import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid
from app.profiles import Technology
from app.registry import geojson, lenient_body, providers, regions, rules, store
from app.registry.geojson import GEOJSON_TYPE
from app.registry.lenient_body import SentPatch, SentSite
from app.registry.models import Level, Lifecycle, Region, Site, SiteStatus, State
from app.registry.params import ProviderId, ProviderSlug, RegionCode, RegionText, Search, SiteId
from app.registry.schemas import (
    ProviderIn,
    ProviderOut,
    ProviderPatch,
    RegionDetail,
    RegionOut,
    SiteIn,
    SiteOut,
    SitePatch,
)
from app.registry.store import SiteFilter
from app.web.conditional import parse_etags
from app.web.deps import Provincial, Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.pagination import BY_ID, Page, cursor_codec
from app.web.params import Cursor, IfMatch, Limit, read_version
from app.web.problem_details import problems
from probes.policy import AddressPolicy

router = APIRouter()

BY_CODE = cursor_codec(str)


@router.get(
    "/regions",
    response_model=Page[RegionOut],
    responses=problems()
    | {
        200: {"content": {GEOJSON_TYPE: {"schema": {"type": "object"}}}},
        304: {"description": "The GeoJSON is the one of If-None-Match"},
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
    format: Annotated[Literal["json", "geojson"], Query(description="GeoJSON comes whole, without pages")] = "json",
) -> Any:
    """Regions in the order of their codes: by level, below a parent, by (part of) a name.

    As GeoJSON, districts have their boundaries (indicative, no legal ones), all others a point.
    """
    parent = await regions.require_current(session, parent, field="parent")
    if format == "geojson":
        _require_whole(request)
        shown = await regions.list_regions(session, level=level, parent=parent, q=q)
        return _geojson(geojson.collection(shown), request)
    found: list[Region] = await regions.list_regions(
        session, level=level, parent=parent, q=q, after=BY_CODE.read(cursor), limit=limit + 1
    )
    page, next_cursor = BY_CODE.page(found, limit, lambda region: region.code)
    return {"items": page, "next_cursor": next_cursor}


def _require_whole(request: Request) -> None:
    faults = [
        Fault(name, "whole_only", "GeoJSON comes whole, without pages", "Leave it out")
        for name in ("limit", "cursor")
        if name in request.query_params
    ]
    if faults:
        raise Invalid(*faults)


def _geojson(body: bytes, request: Request) -> Response:
    """Weak, because it may be sent zipped. What regions are changes with a decree: a day old is as good."""
    tag = f'"{hashlib.blake2s(body, digest_size=8).hexdigest()}"'
    headers = {"ETag": f"W/{tag}", "Cache-Control": "private, max-age=86400"}
    if tag in parse_etags(request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=GEOJSON_TYPE, headers=headers)


@router.get("/regions/{code}", response_model=RegionDetail, responses=problems(404), tags=["regions"])
async def get_region(session: Session, caller: Reader, code: Annotated[str, Path(examples=["64.02"])]) -> Any:
    """By its code, or by one that it had before."""
    region, aliases = await regions.get_region(session, code)
    return RegionOut.model_validate(region).model_dump() | {"aliases": aliases}


@router.get("/providers", response_model=Page[ProviderOut], responses=problems(), tags=["registry"])
async def list_providers(session: Session, caller: Reader, limit: Limit = 100, cursor: Cursor = None) -> Any:
    found = await providers.list_providers(session, caller=caller, after=BY_ID.read(cursor), limit=limit + 1)
    page, next_cursor = BY_ID.page(found, limit, lambda provider: provider.id)
    return {"items": page, "next_cursor": next_cursor}


@router.post("/providers", response_model=ProviderOut, status_code=201, responses=problems(403, 409), tags=["registry"])
async def create_provider(session: Session, caller: Provincial, given: ProviderIn, idempotency: IdempotencyKey) -> Any:
    if made := await idempotency.find(session, given, caller=caller):
        return await providers.get_provider(session, str(made), caller=caller)
    provider = await providers.create_provider(session, given, caller=caller)
    await idempotency.record(session, given, provider.id, caller=caller)
    return provider


@router.get("/providers/{id}", response_model=ProviderOut, responses=problems(404), tags=["registry"])
async def get_provider(session: Session, caller: Reader, id: ProviderId) -> Any:
    return await providers.get_provider(session, id, caller=caller)


@router.patch("/providers/{id}", response_model=ProviderOut, responses=problems(403, 404), tags=["registry"])
async def patch_provider(session: Session, caller: Provincial, id: ProviderId, given: ProviderPatch) -> Any:
    """Its name changes; its slug stays."""
    return await providers.rename_provider(session, id, given, caller=caller)


@router.get("/sites", response_model=Page[SiteOut], responses=problems(403), tags=["registry"])
async def list_sites(
    session: Session,
    caller: Reader,
    region: RegionCode = None,
    state: State | None = None,
    technology: Technology | None = None,
    provider: ProviderSlug = None,
    lifecycle: Lifecycle | None = None,
    q: Search = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    wanted = SiteFilter(region, state, technology, provider, lifecycle, q)
    found = await store.list_sites(session, wanted, caller=caller, after=BY_ID.read(cursor), limit=limit + 1)
    names = regions.names()
    page, next_cursor = BY_ID.page(found, limit, lambda row: row[0].id)
    return {"items": [present(site, status, names, caller) for site, status in page], "next_cursor": next_cursor}


@router.post("/sites", response_model=SiteOut, status_code=201, responses=problems(403, 409), tags=["registry"])
async def create_site(
    session: Session,
    caller: Writer,
    request: Request,
    response: Response,
    sent: SentSite,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Registers a site; it is measured within a minute. The same `Idempotency-Key` again gives the same site."""
    given = await lenient_body.require_sound(session, sent, SiteIn, caller=caller, policy=policy(request))
    if made := await idempotency.find(session, given, caller=caller):
        return present(*await store.get_site(session, str(made), caller=caller), regions.names(), caller)
    site, status = await store.create_site(session, given, caller=caller, policy=policy(request))
    await idempotency.record(session, given, site.id, caller=caller)
    response.headers["Location"] = f"{request.url.path}/{site.id}"
    response.headers["ETag"] = f'"{site.version}"'
    return present(site, status, regions.names(), caller)


@router.get("/sites/{id}", response_model=SiteOut, responses=problems(404), tags=["registry"])
async def get_site(session: Session, caller: Reader, id: SiteId, response: Response) -> dict[str, Any]:
    site, status = await store.get_site(session, id, caller=caller)
    response.headers["ETag"] = f'"{site.version}"'
    return present(site, status, regions.names(), caller)


@router.patch("/sites/{id}", response_model=SiteOut, responses=problems(403, 404, 409, 412), tags=["registry"])
async def patch_site(
    session: Session,
    caller: Writer,
    request: Request,
    id: SiteId,
    sent: SentPatch,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    given = await lenient_body.require_sound(session, sent, SitePatch, caller=caller, policy=policy(request), ident=id)
    site, status = await store.patch_site(
        session, id, given, caller=caller, policy=policy(request), if_match=read_version(if_match)
    )
    return present(site, status, regions.names(), caller)


@router.delete("/sites/{id}", status_code=204, responses=problems(403, 404), tags=["registry"])
async def retire_site(session: Session, caller: Writer, id: SiteId) -> None:
    """Retires it: no longer measured, never forgotten. Again: 204 again."""
    await store.retire_site(session, id, caller=caller)


def policy(request: Request) -> AddressPolicy:
    return request.app.state.policy  # type: ignore[no-any-return]


def present(site: Site, status: SiteStatus, names: dict[str, str], caller: Caller) -> dict[str, Any]:
    """A site as its caller may see it."""
    out = {name: getattr(site, name, None) for name in SiteOut.model_fields}
    shown = store.shown_state(site, status, utc_now())
    out |= {
        "province": names.get(site.village_code[:2]),
        "district": names.get(site.village_code[:5]),
        "subdistrict": names.get(site.village_code[:8]),
        "village": names.get(site.village_code),
        "provider": site.provider.slug,
        "state": shown.state,
        "since": shown.since,
        "last_seen_at": status.last_ok_at,
        "commissioned_at": status.commissioned_at,
        "warnings": [_warning(one) for one in rules.warnings({"probe": site.probe, "technology": site.technology})],
    }
    if not caller.sees_contacts:
        out |= {"contact_name": None, "contact_phone": None}
    return out


def _warning(fault: Fault) -> str:
    return f"{fault.message}; {fault.suggestion}".format_map(fault.values)
