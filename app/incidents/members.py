"""The outages of incidents, each with its site as it was configured when the outage began."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.access.scope import Caller
from app.core.clock import to_wita
from app.incidents import selection
from app.incidents.models import Incident, IncidentSite, IncidentStatus
from app.incidents.outages import FAR_AHEAD
from app.postgres.engine import among
from app.profiles import Technology
from app.registry import site_contracts
from app.registry.models import Provider, Site, SiteConfiguration, SiteStatus, State
from app.registry.site_contracts import Assignment

AT_START = aliased(SiteConfiguration)
IN_FORCE_AT_START = (
    (AT_START.site_id == IncidentSite.site_id)
    & (AT_START.started_at <= IncidentSite.started_at)
    & (func.coalesce(AT_START.ended_at, FAR_AHEAD) > IncidentSite.started_at)
)


@dataclass(frozen=True, slots=True)
class Member:
    """One outage of an incident. While its site is seen down, `last_loss_at` is the newest evidence."""

    outage: IncidentSite
    code: str
    name: str
    village_code: str
    technology: Technology
    provider: str
    contract_number: str | None  # of two links the primary one's first
    visible: bool
    last_loss_at: datetime | None


async def list_members(
    session: AsyncSession, incidents: Sequence[Incident], *, caller: Caller
) -> dict[int, list[Member]]:
    """By incident id: its outages; of a withdrawn incident, those that it had."""
    withdrawn = Incident.status == IncidentStatus.WITHDRAWN
    result = await session.execute(
        select(
            IncidentSite,
            Site.code,
            Site.name,
            func.coalesce(AT_START.village_code, Site.village_code).label("village_code"),
            func.coalesce(AT_START.technology, Site.technology).label("technology"),
            Provider.slug.label("provider"),
            selection.is_within_scope(caller).label("visible"),
            SiteStatus.state,
            SiteStatus.evidence_at,
        )
        .join(Site, Site.id == IncidentSite.site_id)
        .join(SiteStatus, SiteStatus.site_id == Site.id)
        .join(Incident, Incident.id == IncidentSite.incident_id)
        .outerjoin(AT_START, IN_FORCE_AT_START)
        .join(Provider, Provider.id == func.coalesce(AT_START.provider_id, Site.provider_id))
        .where(among(IncidentSite.incident_id, [incident.id for incident in incidents]))
        .where(or_(IncidentSite.withdrawn_at.is_(None), withdrawn))
        .order_by(IncidentSite.started_at, IncidentSite.site_id)
    )
    rows = result.all()
    contracts = await site_contracts.load(session, {row.IncidentSite.site_id for row in rows})
    members: dict[int, list[Member]] = defaultdict(list)
    for row in rows:
        members[row.IncidentSite.incident_id].append(_member(row, contracts[row.IncidentSite.site_id], caller))
    return members


def _member(row: Any, contracts: Iterable[Assignment], caller: Caller) -> Member:
    outage, last_loss_at = row.IncidentSite, row.IncidentSite.last_loss_at
    if last_loss_at is None and outage.open and row.state is State.DOWN:
        last_loss_at = row.evidence_at
    in_force = site_contracts.all_in_force(contracts, to_wita(outage.started_at).date())
    numbers = [each.contract.number for each in in_force if caller.provider_id in {None, each.contract.provider_id}]
    return Member(
        outage,
        row.code,
        row.name,
        row.village_code,
        row.technology,
        row.provider,
        "; ".join(numbers) or None,
        row.visible,
        last_loss_at,
    )


def smallest_region(members: Sequence[Member]) -> str | None:
    """Return the smallest region that contains all of an incident's visible sites, or None."""
    codes = [member.village_code.split(".") for member in members if member.visible]
    common = takewhile(lambda parts: len(set(parts)) == 1, zip(*codes, strict=True))
    return ".".join(parts[0] for parts in common) or None
