"""Load what the sites of incidents were when their outages began, and what their nodes cut off."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.dependents import cut_off, load_dependents
from app.alerts.matching import MemberFacts
from app.incidents.members import AT_START, IN_FORCE_AT_START
from app.incidents.models import IncidentSite
from app.postgres.engine import among
from app.registry.models import Site, SiteKind


async def load_members(session: AsyncSession, incident_ids: Collection[int]) -> dict[int, list[MemberFacts]]:
    """Return them by incident, without outages that were withdrawn; one statement more where a node is among them."""
    result: Any = await session.execute(
        select(
            IncidentSite.incident_id,
            IncidentSite.site_id,
            func.coalesce(AT_START.kind, Site.kind).label("kind"),
            func.coalesce(AT_START.village_code, Site.village_code).label("village_code"),
            func.coalesce(AT_START.technology, Site.technology).label("technology"),
            func.coalesce(AT_START.provider_id, Site.provider_id).label("provider_id"),
            IncidentSite.ended_at.is_(None).label("open"),
        )
        .join(Site, Site.id == IncidentSite.site_id)
        .outerjoin(AT_START, IN_FORCE_AT_START)
        .where(among(IncidentSite.incident_id, incident_ids), IncidentSite.withdrawn_at.is_(None))
    )
    by_incident: dict[int, list[Any]] = defaultdict(list)
    for row in result:
        by_incident[row.incident_id].append(row)
    nodes = {row.site_id for rows in by_incident.values() for row in rows if row.kind is SiteKind.NODE}
    dependents = await load_dependents(session, nodes)
    members: dict[int, list[MemberFacts]] = {}
    for incident_id, rows in by_incident.items():
        behind = cut_off((row.site_id for row in rows), dependents)
        members[incident_id] = [
            MemberFacts(each.village_code, each.technology, each.provider_id, row.open, each is not row)
            for row in rows
            for each in (row, *behind.get(row.site_id, ()))
        ]
    return members
