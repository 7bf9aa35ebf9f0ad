"""What a window is for, who may plan it, and who sees it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, in_region, require_region, require_writer, visible_to
from app.availability.models import MaintenanceWindow
from app.core.errors import Fault, Invalid, NotAllowed, NotFound
from app.maintenance.schemas import WindowIn
from app.registry import providers, regions
from app.registry import store as registry
from app.registry.models import Provider, Site

PROVINCE = "64"


@dataclass(frozen=True, slots=True)
class Place:
    """Either a site, or a region, a provider, or both."""

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
    def code(self) -> str:
        """The region it lies in: a provider's whole network is the province's."""
        return self.site.village_code if self.site is not None else self.region or PROVINCE


async def find_place(session: AsyncSession, given: WindowIn, faults: list[Fault], *, caller: Caller) -> Place:
    """What does not exist adds its fault; a named region outside the caller's scope raises NotAllowed."""
    site = await _site(session, given.site, faults, caller=caller) if given.site is not None else None
    region = await _region(session, given.region, faults, caller=caller)
    provider = None
    if given.provider is not None:
        provider = await providers.find_by_slug(session, given.provider, faults)
    return Place(site, region, provider)


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


async def _region(session: AsyncSession, given: str | None, faults: list[Fault], *, caller: Caller) -> str | None:
    try:
        code = await regions.require_current_code(session, given)
    except Invalid as error:
        faults.extend(error.faults)
        return None
    if code is not None:
        require_region(caller, code)
    return code


def require_planner(caller: Caller, place: Place) -> None:
    """Raises NotAllowed: the role only reads, or the place is not wholly within the caller's region."""
    if place.site is None and place.region is None and caller.writes and not caller.covers(PROVINCE):
        raise NotAllowed(
            "A provider's whole network is the province's: name your region {own} along with it",
            values={"own": caller.region_code},
        )
    require_writer(caller, place.code)


def seen_by(caller: Caller) -> ColumnElement[bool]:
    """Windows that touch what the caller sees: of a site, of a region around or within its own, of a provider."""
    of_site = select(Site.id).where(Site.id == MaintenanceWindow.site_id, visible_to(caller, Site)).exists()
    of_provider: ColumnElement[bool] = true()
    if caller.provider_id is not None:
        of_provider = or_(MaintenanceWindow.provider_id.is_(None), MaintenanceWindow.provider_id == caller.provider_id)
    return or_(of_site, and_(MaintenanceWindow.site_id.is_(None), _meets(caller.region_code), of_provider))


def touching(code: str) -> ColumnElement[bool]:
    """Windows that cover something within a region."""
    of_site = select(Site.id).where(Site.id == MaintenanceWindow.site_id, in_region(Site.village_code, code)).exists()
    return or_(of_site, and_(MaintenanceWindow.site_id.is_(None), _meets(code)))


def of_provider(slug: str) -> ColumnElement[bool]:
    """Of its network, or of a site of its own."""
    provider_id = select(Provider.id).where(Provider.slug == slug).scalar_subquery()
    own = select(Site.id).where(Site.id == MaintenanceWindow.site_id, Site.provider_id == provider_id).exists()
    return or_(MaintenanceWindow.provider_id == provider_id, own)


def _meets(code: str) -> ColumnElement[bool]:
    """The window's region lies within this one or around it, or it has none."""
    parts = code.split(".")
    around = [".".join(parts[: n + 1]) for n in range(len(parts))]
    window = MaintenanceWindow.region_code
    return or_(window.is_(None), window.in_(around), in_region(window, code))
