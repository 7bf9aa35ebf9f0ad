"""The scope of a maintenance window: what it covers, read from a request, and who may plan for it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE, Caller, require_region, require_writer
from app.core.errors import Fault, Invalid, NotAllowed, NotFound
from app.maintenance.schemas import WindowIn
from app.registry import providers, regions
from app.registry import store as registry
from app.registry.models import Provider, Site


@dataclass(frozen=True, slots=True)
class WindowScope:
    """Either a site; or a region, a provider, or a provider within a region."""

    site: Site | None = None
    region: str | None = None
    provider: Provider | None = None

    @property
    def columns(self) -> dict[str, Any]:
        return {
            "site_id": self.site and self.site.id,
            "region_code": self.region,
            "provider_id": self.provider and self.provider.id,
        }

    @property
    def region_code(self) -> str:
        """The smallest region that holds it; for a provider's whole network, the province."""
        return self.site.village_code if self.site is not None else self.region or PROVINCE


async def find_scope(session: AsyncSession, body: WindowIn, faults: list[Fault], *, caller: Caller) -> WindowScope:
    """Look up what the body names; add a fault for what does not exist. Raises NotAllowed for a region out of scope."""
    site = await _site(session, body.site, faults, caller=caller) if body.site is not None else None
    region = await _region(session, body.region, faults, caller=caller)
    provider = None
    if body.provider is not None:
        provider = await providers.find_by_slug(session, body.provider, faults)
    return WindowScope(site, region, provider)


async def _site(session: AsyncSession, ident: str, faults: list[Fault], *, caller: Caller) -> Site | None:
    try:
        return (await registry.get_site(session, ident, caller=caller))[0]
    except NotFound:
        faults.append(
            Fault(
                "site",
                "unknown_site",
                "There is no site {given} within your scope",
                "Look it up: GET /api/v1/sites?q=<name>",
                values={"given": ident[:60]},
            )
        )
        return None


async def _region(session: AsyncSession, region: str | None, faults: list[Fault], *, caller: Caller) -> str | None:
    try:
        code = await regions.require_current_code(session, region)
    except Invalid as error:
        faults.extend(error.faults)
        return None
    if code is not None:
        require_region(caller, code)
    return code


def require_planner(caller: Caller, scope: WindowScope) -> None:
    """Raises NotAllowed for a role that only reads, or a scope that is not wholly within the caller's region."""
    if scope.site is None and scope.region is None and caller.writes and not caller.covers(PROVINCE):
        raise NotAllowed(
            "Only the province plans work on a provider's whole network: add your region {own}",
            values={"own": caller.region_code},
        )
    require_writer(caller, scope.region_code)
