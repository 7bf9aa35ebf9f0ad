"""Whose line a site's was in some hours, how connected, and whether it was in service all of the time."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.intervals import clip
from app.availability.site_history import DatedConfigurations
from app.availability.site_verdicts import last_place
from app.core.clock import to_slot
from app.core.periods import Period
from app.registry import regions
from app.registry.configuration import ConfigurationInForce
from app.registry.models import Provider, Site

SUBDISTRICT, DISTRICT = len("64.02.05"), len("64.02")


def line_of(dated: DatedConfigurations, period: Period) -> ConfigurationInForce:
    """Return whose line it was: at its last second in service."""
    return last_place(dated.configurations, to_slot(period.start), to_slot(period.end))


def has_changed(dated: DatedConfigurations, period: Period) -> bool:
    """Whether provider, technology, village or kind changed while it was in service."""
    lines = {(c.provider_id, c.technology, c.village_code, c.kind) for c in _within(dated, period) if c.active}
    return len(lines) > 1


def was_in_service(dated: DatedConfigurations, period: Period) -> bool:
    """Whether it was in service at every second."""
    return all(configuration.active for configuration in _within(dated, period))


def _within(dated: DatedConfigurations, period: Period) -> list[ConfigurationInForce]:
    found = clip(dated.configurations, to_slot(period.start), to_slot(period.end))
    return [configuration for _, _, configuration in found]


async def site_fields(session: AsyncSession, site: Site, line: ConfigurationInForce) -> dict[str, Any]:
    """Return the fields of a CertifiedSite."""
    query = select(Provider.slug, Provider.name).where(Provider.id == line.provider_id)
    provider = (await session.execute(query)).one()
    names, code = regions.names(), line.village_code
    return {
        "id": site.id,
        "code": site.code,
        "name": site.name,
        "village_code": code,
        "village": names[code],
        "subdistrict": names[code[:SUBDISTRICT]],
        "district": names[code[:DISTRICT]],
        "service_no": site.service_no,
        "technology": line.technology,
        "provider": provider.slug,
        "provider_name": provider.name,
    }
