"""Whose figures an aggregate is: one site's, or the access points' of a region, a provider, a technology."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, in_region, require_region
from app.core.clock import WITA_SQL
from app.core.errors import NotFound
from app.profiles import Technology
from app.registry import providers, regions
from app.registry.configuration import ConfigurationInForce
from app.registry.models import Site, SiteConfiguration, SiteKind

KECAMATAN = len("64.02.05")


@dataclass(frozen=True, slots=True)
class OneSite:
    site_id: int

    @property
    def by_region(self) -> bool:
        return False

    @property
    def members(self) -> str:
        return """
            SELECT cast(:site_id AS int) AS site_id, cast('-infinity' AS timestamptz) AS since,
                cast('infinity' AS timestamptz) AS until"""

    @property
    def values(self) -> dict[str, Any]:
        return {"site_id": self.site_id}


@dataclass(frozen=True, slots=True)
class Selection:
    """Access points of a region, for the time that they were set up there, with this provider and this technology."""

    region: str
    provider_id: int | None = None
    technology: Technology | None = None

    def takes(self, setup: ConfigurationInForce) -> bool:
        return (
            self.provider_id in {None, setup.provider_id}
            and self.technology in {None, setup.technology}
            and setup.village_code.startswith(self.region)
        )

    @property
    def sites(self) -> Select[int]:
        """The ids of all that ever were so set up."""
        configured = SiteConfiguration
        query = (
            select(Site.id)
            .join(configured, configured.site_id == Site.id)
            .where(Site.kind == SiteKind.ACCESS_POINT, in_region(configured.village_code, self.region))
            .distinct()
        )
        if self.provider_id is not None:
            query = query.where(configured.provider_id == self.provider_id)
        if self.technology is not None:
            query = query.where(configured.technology == self.technology)
        return query

    @property
    def by_region(self) -> bool:
        """Whether its days and months are counted: not so those of a village, whose few sites are."""
        return len(self.region) <= KECAMATAN

    @property
    def members(self) -> str:
        """Rows (site_id, since, until), cut at midnight: a site may leave and come back."""
        wanted = ["s.kind = 'access_point'", "c.village_code ^@ :region"]
        wanted += ["c.provider_id = :provider_id"] if self.provider_id is not None else []
        wanted += ["c.technology = :technology"] if self.technology is not None else []
        return f"""
            SELECT s.id AS site_id, date_trunc('day', c.started_at, {WITA_SQL}) AS since,
                coalesce(date_trunc('day', c.ended_at, {WITA_SQL}), 'infinity') AS until
            FROM site s JOIN site_configuration c ON c.site_id = s.id WHERE {" AND ".join(wanted)}"""

    @property
    def values(self) -> dict[str, Any]:
        """Of `members`, and of the cell that is counted of them."""
        technology = self.technology and self.technology.value
        return {
            "region": self.region,
            "provider_id": self.provider_id,
            "technology": technology,
            "cell_provider": self.provider_id or 0,
            "cell_technology": technology or "all",
        }


async def select_region(
    session: AsyncSession, code: str, provider: str | None, technology: Technology | None, *, caller: Caller
) -> Selection:
    """Raises NotFound for a code that is no region's, NotAllowed outside the caller's, Invalid for no such provider."""
    code = await regions.current(session, code)
    if code not in regions.names():
        raise NotFound("There is no region {given} in Kalimantan Timur", values={"given": code[:60]})
    require_region(caller, code)
    return Selection(code, await _asked_provider(session, provider, caller=caller), technology)


async def select_any(
    session: AsyncSession, region: str | None, provider: str | None, technology: Technology | None, *, caller: Caller
) -> Selection:
    """Like `select_region`, by parameters: without a region all that the caller may see."""
    if region is not None:
        require_region(caller, region)
    chosen = await _asked_provider(session, provider, caller=caller)
    return Selection(region or caller.region_code, chosen, technology)


async def select_provider(
    session: AsyncSession, ident: str, region: str | None, technology: Technology | None, *, caller: Caller
) -> Selection:
    """Of the provider's sites within the caller's region. Raises NotFound for an unknown provider, or another's."""
    found = await providers.get_provider(session, ident, caller=caller)
    return await select_any(session, region, found.slug, technology, caller=caller)


async def _asked_provider(session: AsyncSession, ident: str | None, *, caller: Caller) -> int | None:
    if ident is None:
        return caller.provider_id
    return (await providers.choose_provider(session, ident, caller=caller)).id
