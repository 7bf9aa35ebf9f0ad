"""Path and query parameters naming a site, a provider or a region; a filter naming an unknown one is refused."""

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import Field

from app.core.errors import Fault, Invalid, NotFound
from app.profiles import Technology
from app.registry import providers, regions, store
from app.registry.models import Lifecycle, SiteKind, State
from app.registry.store import SiteFilter
from app.web.deps import Reader, Session
from app.web.params import MAX_ID, SEVERAL, Several

SiteId = Annotated[
    str, Path(max_length=MAX_ID, description="the site's id, or its code", examples=["64.02.05.2003-01"])
]
ProviderId = Annotated[
    str, Path(max_length=MAX_ID, description="the provider's id, or its slug", examples=["telkom-wms"])
]
RegionPath = Annotated[str, Path(max_length=MAX_ID, description="a Kemendagri code", examples=["64.02"])]
RegionText = Annotated[
    str | None,
    Query(max_length=13, description="a Kemendagri code; includes everything below that region", examples=["64.02"]),
]
ProviderText = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="only this provider's: id or slug", examples=["telkom-wms"]),
]
SiteText = Annotated[
    str | None,
    Query(
        min_length=1, max_length=60, description="only this site's: its id, or its code", examples=["64.02.05.2003-01"]
    ),
]
RegionTexts = Annotated[
    Several[Annotated[str, Field(max_length=13)]],
    Query(description=f"Kemendagri codes, each with everything below it: {SEVERAL}", examples=[["64.02", "64.03"]]),
]
ProviderTexts = Annotated[
    Several[Annotated[str, Field(min_length=1, max_length=100)]],
    Query(description=f"ids or slugs: {SEVERAL}", examples=[["telkom-wms"]]),
]
Search = Annotated[str | None, Query(min_length=1, max_length=100, description="part of a name", examples=["badak"])]


async def read_region(session: Session, region: RegionText = None) -> str | None:
    """Return the region's present code, also for a former one. Raises Invalid for an unknown code."""
    return await regions.require_current_code(session, region)


async def read_regions(session: Session, region: RegionTexts = ()) -> tuple[str, ...]:
    """Return the regions' present codes, also for former ones. Raises Invalid for an unknown code."""
    return await regions.require_current_codes(session, region)


async def read_provider(session: Session, caller: Reader, provider: ProviderText = None) -> str | None:
    """Return the provider's slug. Raises Invalid, alike for unknown providers and those the caller may not see."""
    if provider is None:
        return None
    return (await providers.require_provider(session, provider, caller=caller)).slug


async def read_providers(session: Session, caller: Reader, provider: ProviderTexts = ()) -> tuple[str, ...]:
    """Return the providers' slugs. Raises Invalid, alike for unknown providers and those the caller may not see."""
    return await providers.require_slugs(session, provider, caller=caller)


async def read_site(session: Session, caller: Reader, site: SiteText = None) -> int | None:
    """Return the site's id. Raises Invalid, alike for unknown sites and those out of scope."""
    if site is None:
        return None
    try:
        found, _ = await store.get_site(session, site, caller=caller)
    except NotFound:
        raise Invalid(
            Fault(
                "site",
                "unknown_site",
                "There is no site {given} within your scope",
                "Look it up: GET /api/v1/sites?q=<name>",
                values={"given": site[:60]},
            )
        ) from None
    return found.id


RegionCode = Annotated[str | None, Depends(read_region)]
RegionCodes = Annotated[tuple[str, ...], Depends(read_regions)]
ProviderSlug = Annotated[str | None, Depends(read_provider)]
ProviderSlugs = Annotated[tuple[str, ...], Depends(read_providers)]
SiteIdFilter = Annotated[int | None, Depends(read_site)]
StateFilter = Annotated[
    Several[State], Query(description=f"the current state: {SEVERAL}", examples=[["down", "degraded"]])
]
TechnologyFilter = Annotated[Several[Technology], Query(description=SEVERAL, examples=[["fiber", "leo"]])]


def read_site_filter(
    region: RegionCodes,
    provider: ProviderSlugs,
    state: StateFilter = (),
    technology: TechnologyFilter = (),
    lifecycle: Annotated[Several[Lifecycle], Query(description=SEVERAL, examples=[["active"]])] = (),
    kind: Annotated[Several[SiteKind], Query(description=SEVERAL, examples=[["node"]])] = (),
    q: Search = None,
) -> SiteFilter:
    return SiteFilter(region, state, technology, provider, lifecycle, kind, q)


SitesFilter = Annotated[SiteFilter, Depends(read_site_filter)]
