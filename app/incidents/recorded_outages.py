"""What people recorded of a site's outages: incident, ticket, cause, who set it and when; as the caller may see it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.incidents import provider_view
from app.incidents.members import Member, list_members
from app.incidents.models import Incident, IncidentSite, OutageCause
from app.postgres.engine import among
from app.registry.models import Cause


@dataclass(frozen=True, slots=True)
class RecordedOutage:
    started_at: datetime
    ended_at: datetime | None
    incident_id: int
    ticket_no: str | None  # None to a provider that is not the only one concerned


@dataclass(frozen=True, slots=True)
class RecordedCause:
    started_at: datetime
    ended_at: datetime | None
    cause: Cause
    set_by: str | None  # None to a provider
    set_at: datetime


async def outages_of_site(
    session: AsyncSession, site_id: int, start: datetime, end: datetime, *, caller: Caller
) -> list[RecordedOutage]:
    """Return the site's outages that reach into the time from start to end, in order, each with its incident."""
    outage = IncidentSite
    reaches_in = or_(outage.ended_at.is_(None), outage.ended_at > start)
    query = select(outage.incident_id).where(outage.site_id == site_id, outage.withdrawn_at.is_(None))
    query = query.where(outage.started_at < end, reaches_in)
    incidents = (await session.scalars(select(Incident).where(Incident.id.in_(query)))).all()
    members = await list_members(session, incidents, caller=caller) if incidents else {}
    recorded = [
        RecordedOutage(
            member.outage.started_at,
            member.outage.ended_at,
            incident.id,
            _ticket(incident, members[incident.id], caller),
        )
        for incident in incidents
        for member in members[incident.id]
        if member.outage.site_id == site_id and member.visible
    ]
    return sorted(recorded, key=lambda one: one.started_at)


def _ticket(incident: Incident, members: Sequence[Member], caller: Caller) -> str | None:
    if caller.provider_id is None:
        return incident.ticket_no
    ticket: str | None = provider_view.own_fields(members).get("ticket_no", incident.ticket_no)
    return ticket


async def causes_of_site(
    session: AsyncSession, site_id: int, start: datetime, end: datetime, *, caller: Caller
) -> list[RecordedCause]:
    """Return the causes in force between start and end, in order."""
    causes = (await causes_of_sites(session, [site_id], start, end))[site_id]
    return causes if caller.provider_id is None else [replace(cause, set_by=None) for cause in causes]


async def causes_of_sites(
    session: AsyncSession, site_ids: Collection[int], start: datetime, end: datetime
) -> defaultdict[int, list[RecordedCause]]:
    """Return the causes in force between start and end by site, in order, as an office sees them."""
    rows = await session.scalars(
        select(OutageCause)
        .where(among(OutageCause.site_id, site_ids), OutageCause.withdrawn_at.is_(None), OutageCause.started_at < end)
        .where(or_(OutageCause.ended_at.is_(None), OutageCause.ended_at > start))
        .order_by(OutageCause.started_at)
    )
    causes: defaultdict[int, list[RecordedCause]] = defaultdict(list)
    for row in rows:
        cause = RecordedCause(row.started_at, row.ended_at, row.cause, row.confirmed_by, row.recorded_at)
        causes[row.site_id].append(cause)
    return causes


async def outages_of_sites(
    session: AsyncSession, site_ids: Collection[int], start: datetime, end: datetime
) -> defaultdict[int, list[RecordedOutage]]:
    """Return the outages that reach into the time from start to end by site, in order, as an office sees them."""
    outage = IncidentSite
    rows = await session.execute(
        select(outage.site_id, outage.started_at, outage.ended_at, Incident.id, Incident.ticket_no)
        .join(Incident, Incident.id == outage.incident_id)
        .where(among(outage.site_id, site_ids), outage.withdrawn_at.is_(None), outage.started_at < end)
        .where(or_(outage.ended_at.is_(None), outage.ended_at > start))
        .order_by(outage.started_at)
    )
    recorded: defaultdict[int, list[RecordedOutage]] = defaultdict(list)
    for site_id, started_at, ended_at, incident_id, ticket_no in rows:
        recorded[site_id].append(RecordedOutage(started_at, ended_at, incident_id, ticket_no))
    return recorded
