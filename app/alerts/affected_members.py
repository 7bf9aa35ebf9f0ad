"""The outages of incidents as one office hears of them: those within its region, and of the provider that it tells.

What hangs on a node is cut off by its outage: it is a member then, with the times, maintenance and power of the node.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.access.scope import covers
from app.alerts.content import ToldPlace
from app.alerts.dependents import Dependent, Dependents, cut_off, load_dependents
from app.alerts.gate import MemberTimes
from app.alerts.grouping import Commonality, commonality_of
from app.availability.intervals import TimeRange
from app.availability.maintenance_overlay import Outage, announced_windows_of
from app.incidents.members import AT_START, IN_FORCE_AT_START
from app.incidents.models import Incident, IncidentKind, IncidentSite, IncidentStatus
from app.postgres.engine import among
from app.profiles import Technology
from app.registry.daily_hours import parse_daily_hours
from app.registry.models import Provider, Site, SiteKind

AHEAD = timedelta(days=400)  # maintenance is known of so far


@dataclass(frozen=True, slots=True)
class OutageMember:
    """One outage of one site, as that was when it began."""

    incident_id: int
    site_id: int
    kind: SiteKind
    code: str
    name: str
    village_code: str
    technology: Technology
    provider_id: int
    provider: str  # its name
    service_no: str | None
    parent_id: int | None
    power_hours: str | None
    started_at: datetime
    last_ok_at: datetime | None
    ended_at: datetime | None
    node_id: int | None = None  # whose outage cuts it off, without one of its own
    node: ToldPlace | None = None  # that one

    @property
    def outage_site_id(self) -> int:
        """Return whose outage it is."""
        return self.site_id if self.node_id is None else self.node_id

    def cutting_off(self, dependent: Dependent) -> "OutageMember":
        return replace(
            self,
            node_id=self.site_id,
            node=ToldPlace(code=self.code, name=self.name),
            kind=SiteKind.ACCESS_POINT,
            parent_id=None,
            last_ok_at=None,
            site_id=dependent.site_id,
            code=dependent.code,
            name=dependent.name,
            village_code=dependent.village_code,
            technology=dependent.technology,
            provider_id=dependent.provider_id,
            provider=dependent.provider,
            service_no=dependent.service_no,
        )

    @property
    def name_of_site(self) -> str:
        """As conditions of sites are named."""
        return f"site:{self.site_id}"

    @property
    def outage(self) -> Outage:
        return self.outage_site_id, self.started_at

    def times(self, maintenance: Sequence[TimeRange]) -> MemberTimes:
        return MemberTimes(self.started_at, self.ended_at, maintenance, parse_daily_hours(self.power_hours))


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a channel tells: an office, or a provider of its own sites."""

    region_code: str
    provider_id: int | None

    def hears_of(self, member: OutageMember) -> bool:
        return self.provider_id in {None, member.provider_id} and covers(self.region_code, member.village_code)


Members = Mapping[int, Sequence[OutageMember]]  # by incident, in order of their start


async def load_members(session: AsyncSession, incident_ids: Collection[int]) -> dict[int, list[OutageMember]]:
    """Return the outages of incidents, each node's before what it cuts off; of withdrawn ones those that they had."""
    if not incident_ids:
        return {}
    has_it = or_(IncidentSite.withdrawn_at.is_(None), Incident.status == IncidentStatus.WITHDRAWN)
    members: dict[int, list[OutageMember]] = defaultdict(list)
    for row in await session.execute(_members(incident_ids).where(has_it)):
        members[row[0]].append(OutageMember(*row))
    return await _add_dependents(session, members)


async def load_refuted(session: AsyncSession, told: Mapping[int, datetime]) -> dict[int, list[OutageMember]]:
    """Return the outages of incidents that were withdrawn after these were told, and that no other row has."""
    if not told:
        return {}
    other = aliased(IncidentSite)
    overlaps = exists().where(
        other.site_id == IncidentSite.site_id,
        other.withdrawn_at.is_(None),
        or_(other.ended_at.is_(None), other.ended_at >= IncidentSite.started_at),
        or_(IncidentSite.ended_at.is_(None), IncidentSite.ended_at >= other.started_at),
    )
    query = _members(told.keys()).add_columns(IncidentSite.withdrawn_at)
    refuted: dict[int, list[OutageMember]] = defaultdict(list)
    for *columns, withdrawn_at in await session.execute(query.where(IncidentSite.withdrawn_at.is_not(None), ~overlaps)):
        member = OutageMember(*columns)
        if withdrawn_at >= told[member.incident_id]:
            refuted[member.incident_id].append(member)
    return await _add_dependents(session, refuted)


def _members(incident_ids: Collection[int]) -> Any:
    """Select the fields of OutageMember, withdrawn or not."""
    return (
        select(
            IncidentSite.incident_id,
            IncidentSite.site_id,
            func.coalesce(AT_START.kind, Site.kind),
            Site.code,
            Site.name,
            func.coalesce(AT_START.village_code, Site.village_code),
            func.coalesce(AT_START.technology, Site.technology),
            Provider.id,
            Provider.name,
            Site.service_no,
            func.coalesce(AT_START.parent_id, Site.parent_id),
            Site.power_hours,
            IncidentSite.started_at,
            IncidentSite.last_ok_at,
            IncidentSite.ended_at,
        )
        .join(Site, Site.id == IncidentSite.site_id)
        .join(Incident, Incident.id == IncidentSite.incident_id)
        .outerjoin(AT_START, IN_FORCE_AT_START)
        .join(Provider, Provider.id == func.coalesce(AT_START.provider_id, Site.provider_id))
        .where(among(IncidentSite.incident_id, incident_ids))
        .order_by(IncidentSite.started_at, IncidentSite.site_id)
    )


async def _add_dependents(session: AsyncSession, members: Members) -> dict[int, list[OutageMember]]:
    nodes = {each.site_id for of in members.values() for each in of if each.kind is SiteKind.NODE}
    dependents = await load_dependents(session, nodes)
    return {incident_id: _with_dependents(of, dependents) for incident_id, of in members.items()}


def _with_dependents(members: Sequence[OutageMember], dependents: Dependents) -> list[OutageMember]:
    behind = cut_off((member.site_id for member in members), dependents)
    return [
        each
        for member in members
        for each in (member, *(member.cutting_off(dependent) for dependent in behind.get(member.site_id, ())))
    ]


async def load_maintenance(
    session: AsyncSession, members: Iterable[OutageMember], now: datetime
) -> dict[Outage, list[TimeRange]]:
    """Return the maintenance that was announced before each outage, from the first outage on.

    One that is planned during an outage does not keep anybody from hearing of that.
    """
    return await announced_windows_of(session, {member.outage for member in members}, now + AHEAD)


def commonality(incident: Incident, members: Sequence[OutageMember]) -> Commonality:
    """Return what the outages of an incident that an office hears of have in common with others."""
    sites = [(member.provider_id, member.village_code) for member in members]
    if incident.kind is IncidentKind.SHARED:
        return commonality_of(sites, node=incident.shared_parent_id)
    alone = members[0] if members else None
    if alone is None:
        return Commonality()
    node = alone.outage_site_id if alone.node_id is not None or alone.kind is SiteKind.NODE else None
    return commonality_of(sites, node=node, parent=alone.parent_id)
