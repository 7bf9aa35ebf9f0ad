"""Load what the sites of incidents were when their outages began."""

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.matching import MemberFacts
from app.incidents.members import AT_START, IN_FORCE_AT_START
from app.incidents.models import IncidentSite
from app.postgres.engine import among
from app.registry.models import Site


async def load_members(session: AsyncSession, incident_ids: Collection[int]) -> dict[int, list[MemberFacts]]:
    """Return them by incident, without outages that were withdrawn."""
    rows = await session.execute(
        select(
            IncidentSite.incident_id,
            func.coalesce(AT_START.village_code, Site.village_code).label("village_code"),
            func.coalesce(AT_START.technology, Site.technology).label("technology"),
            func.coalesce(AT_START.provider_id, Site.provider_id).label("provider_id"),
            IncidentSite.ended_at.is_(None).label("open"),
        )
        .join(Site, Site.id == IncidentSite.site_id)
        .outerjoin(AT_START, IN_FORCE_AT_START)
        .where(among(IncidentSite.incident_id, incident_ids), IncidentSite.withdrawn_at.is_(None))
    )
    members: dict[int, list[MemberFacts]] = defaultdict(list)
    for row in rows:
        members[row.incident_id].append(MemberFacts(row.village_code, row.technology, row.provider_id, row.open))
    return members
