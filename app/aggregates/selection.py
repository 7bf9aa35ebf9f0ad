"""Which sites an aggregate covers: a single one, or the access points of a region, a provider, a technology."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE, Caller, in_region, require_region
from app.core.clock import WITA_SQL
from app.core.errors import NotFound
from app.profiles import Technology
from app.registry import providers, regions
from app.registry import store as registry
from app.registry.configuration import ConfigurationInForce
from app.registry.models import Level, Provider, SiteConfiguration, SiteKind

CODE_LENGTHS = {Level.PROVINSI: 2, Level.KABUPATEN_KOTA: 5, Level.KECAMATAN: 8, Level.DESA_KELURAHAN: 13}
# Regions whose days and months are rolled up. A village is not: its few sites are read one by one.
ROLLED_UP_CODE_LENGTHS = tuple(n for level, n in CODE_LENGTHS.items() if level is not Level.DESA_KELURAHAN)


def is_rolled_up(region_code: str) -> bool:
    return len(region_code) in ROLLED_UP_CODE_LENGTHS


@dataclass(frozen=True, slots=True)
class SingleSite:
    site_id: int
    contracts_of: int | None = None  # a provider, if only its contracts are to be shown
    code: str = ""

    @property
    def subject(self) -> str:
        """Return what names the site in a file's name."""
        return self.code

    @property
    def is_rolled_up(self) -> bool:
        return False

    @property
    def members_sql(self) -> str:
        return """
            SELECT cast(:site_id AS int) AS site_id, cast('-infinity' AS timestamptz) AS since,
                cast('infinity' AS timestamptz) AS until"""

    @property
    def parameters(self) -> dict[str, Any]:
        return {"site_id": self.site_id}


@dataclass(frozen=True, slots=True)
class SiteGroup:
    """Access points of a region (and of one provider, one technology), each for as long as it was configured so."""

    region: str
    provider_id: int | None = None
    technology: Technology | None = None
    provider: str | None = None  # its slug

    @property
    def subject(self) -> str:
        """Return what names the group in a file's name: the province only where nothing narrower does."""
        narrower = [part for part in (self.provider, self.technology) if part is not None]
        return "-".join([self.region, *narrower] if self.region != PROVINCE or not narrower else narrower)

    def includes(self, configuration: ConfigurationInForce) -> bool:
        return (
            configuration.kind is SiteKind.ACCESS_POINT
            and self.provider_id in {None, configuration.provider_id}
            and self.technology in {None, configuration.technology}
            and configuration.village_code.startswith(self.region)
        )

    @property
    def site_ids(self) -> Select[int]:
        """Select the ids of all sites that ever belonged to the group."""
        configured = SiteConfiguration
        query = (
            select(configured.site_id)
            .where(configured.kind == SiteKind.ACCESS_POINT, in_region(configured.village_code, self.region))
            .distinct()
        )
        if self.provider_id is not None:
            query = query.where(configured.provider_id == self.provider_id)
        if self.technology is not None:
            query = query.where(configured.technology == self.technology)
        return query

    @property
    def is_rolled_up(self) -> bool:
        """Whether its days and months are rolled up."""
        return is_rolled_up(self.region)

    @property
    def members_sql(self) -> str:
        """Select rows (site_id, since, until), cut at WITA's midnights; a site that left and came back has several."""
        conditions = ["c.kind = 'access_point'", "c.village_code ^@ :region"]
        conditions += ["c.provider_id = :provider_id"] if self.provider_id is not None else []
        conditions += ["c.technology = :technology"] if self.technology is not None else []
        return f"""
            SELECT c.site_id, date_trunc('day', c.started_at, {WITA_SQL}) AS since,
                coalesce(date_trunc('day', c.ended_at, {WITA_SQL}), 'infinity') AS until
            FROM site_configuration c WHERE {" AND ".join(conditions)}"""

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the values bound in `members_sql`, and the provider and technology of the rollup row to read."""
        technology = self.technology and self.technology.value
        return {
            "region": self.region,
            "provider_id": self.provider_id,
            "technology": technology,
            "rollup_provider": self.provider_id or 0,
            "rollup_technology": technology or "all",
        }


async def select_site(session: AsyncSession, ident: str, *, caller: Caller) -> SingleSite:
    """Raises NotFound, alike for an unknown site and one out of scope."""
    site, _ = await registry.get_site(session, ident, caller=caller)
    return SingleSite(site.id, caller.provider_id, site.code)


async def select_region(
    session: AsyncSession, code: str, provider: str | None, technology: Technology | None, *, caller: Caller
) -> SiteGroup:
    """Raises NotFound for an unknown region, NotAllowed for one out of scope, Invalid for an unknown provider."""
    code = await regions.current_code(session, code)
    if code not in regions.names():
        raise NotFound("There is no region {given} in Kalimantan Timur", values={"given": code[:60]})
    require_region(caller, code)
    return await _group(session, code, provider, technology, caller=caller)


async def select_any(
    session: AsyncSession, region: str | None, provider: str | None, technology: Technology | None, *, caller: Caller
) -> SiteGroup:
    """Like `select_region`, with an optional region: without one, everything the caller may see."""
    if region is not None:
        require_region(caller, region)
    return await _group(session, region or caller.region_code, provider, technology, caller=caller)


async def select_provider(
    session: AsyncSession, ident: str, region: str | None, technology: Technology | None, *, caller: Caller
) -> SiteGroup:
    """Select a provider's sites within the caller's region. Raises NotFound for an unknown provider, or another's."""
    provider = await providers.get_provider(session, ident, caller=caller)
    return await select_any(session, region, provider.slug, technology, caller=caller)


async def _group(
    session: AsyncSession, region: str, provider: str | None, technology: Technology | None, *, caller: Caller
) -> SiteGroup:
    """Select the provider that is asked for, else the caller's own if it is a provider."""
    if provider is not None:
        found = await providers.require_provider(session, provider, caller=caller)
    elif caller.provider_id is not None:
        found = await session.get_one(Provider, caller.provider_id)
    else:
        return SiteGroup(region, None, technology)
    return SiteGroup(region, found.id, technology, found.slug)
