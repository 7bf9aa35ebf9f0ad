"""Whose packets an aggregate is of: one site's, or those of the access points of a region, provider, technology."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, require_region
from app.errors import Fault, Invalid, NotFound
from app.profiles import Technology
from app.registry import regions
from app.registry.models import Provider
from app.registry.store import MAX_ID

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
class Group:
    """A site belongs to the provider and technology that its set-up at a day's end says, for that whole day."""

    region: str
    provider_id: int | None = None
    technology: Technology | None = None

    @property
    def by_region(self) -> bool:
        """Whether its days and months are counted: not so those of a village, whose few sites are."""
        return len(self.region) <= KECAMATAN

    @property
    def members(self) -> str:
        """Rows (site_id, since, until), cut at midnight: a site may leave and come back."""
        wanted = ["s.kind = 'access_point'", "s.village_code ^@ :region"]
        wanted += ["c.provider_id = :provider_id"] if self.provider_id is not None else []
        wanted += ["c.technology = :technology"] if self.technology is not None else []
        return f"""
            SELECT s.id AS site_id, date_trunc('day', c.started_at, 'Asia/Makassar') AS since,
                coalesce(date_trunc('day', c.ended_at, 'Asia/Makassar'), 'infinity') AS until
            FROM site s JOIN site_configuration c ON c.site_id = s.id WHERE {" AND ".join(wanted)}"""

    @property
    def values(self) -> dict[str, Any]:
        """Of `members`, and of the cell that is counted of them."""
        technology = self.technology and self.technology.value
        return {
            "region": self.region, "provider_id": self.provider_id, "technology": technology,
            "cell_provider": self.provider_id or 0, "cell_technology": technology or "all",
        }  # fmt: skip


async def of_region(
    session: AsyncSession, code: str, *, caller: Caller, provider: str | None, technology: Technology | None
) -> Group:
    """Raises Invalid for an unknown region or provider, NotAllowed for a region out of scope."""
    regions.require_known(code, field="code")
    require_region(caller, code)
    found = None if provider is None else await _find_provider(session, provider, caller)
    if provider is not None and found is None:
        raise Invalid(Fault("provider", "unknown_provider", "There is no provider {given}",
                            "Look them up: GET /api/v1/providers", values={"given": provider[:60]}))  # fmt: skip
    return Group(code, found or caller.provider_id, technology)


async def of_provider(
    session: AsyncSession, ident: str, *, caller: Caller, region: str | None, technology: Technology | None
) -> Group:
    """Of the provider's sites within the caller's region. Raises NotFound for an unknown provider, or another's."""
    regions.require_known(region)
    require_region(caller, region or caller.region_code)
    found = await _find_provider(session, ident, caller)
    if found is None:
        raise NotFound(f"There is no provider {ident[:60]} within your scope")
    return Group(region or caller.region_code, found, technology)


async def _find_provider(session: AsyncSession, ident: str, caller: Caller) -> int | None:
    """By slug or id; a provider's own viewer knows of no other."""
    named = [Provider.slug == ident]
    if ident.isascii() and ident.isdigit() and len(ident) <= 10 and int(ident) <= MAX_ID:
        named.append(Provider.id == int(ident))
    query = select(Provider.id).where(or_(*named))
    if caller.provider_id is not None:
        query = query.where(Provider.id == caller.provider_id)
    return await session.scalar(query.order_by(Provider.slug == ident).limit(1))
