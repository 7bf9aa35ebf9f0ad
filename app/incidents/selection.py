"""Which incidents a caller sees, and which of them a filter selects.

An outage is within the scope of whoever had the site while it lasted: a site that moves to another provider or district
takes none of its past along.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import BigInteger, ColumnElement, Select, and_, case, cast, exists, func, or_, select

from app.access.scope import Caller, in_regions, visible_to
from app.core.periods import Period
from app.incidents.models import Incident, IncidentKind, IncidentSite, IncidentStatus
from app.incidents.outages import FAR_AHEAD
from app.profiles import Technology
from app.registry.models import Cause, Provider, SiteConfiguration


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Of several values any may match; () and None filter nothing."""

    statuses: tuple[IncidentStatus, ...] = ()
    kinds: tuple[IncidentKind, ...] = ()
    causes: tuple[Cause, ...] = ()
    period: Period | None = None
    regions: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    technologies: tuple[Technology, ...] = ()
    site: int | None = None


class IncidentOrder(StrEnum):
    """`newest`: newest outage first; `urgent`: first what nobody handles, shared before single and the longest first;
    then what somebody handles, then what is over without a cause, then the rest, newest first.
    """

    NEWEST = "newest"
    URGENT = "urgent"


HAS_NO_CAUSE = or_(Incident.cause.is_(None), Incident.cause == Cause.UNCLASSIFIED)
URGENCY = case(
    (and_(Incident.status == IncidentStatus.OPEN, Incident.kind == IncidentKind.SHARED), 0),
    (Incident.status == IncidentStatus.OPEN, 1),
    (Incident.status == IncidentStatus.ACKNOWLEDGED, 2),
    (and_(Incident.status == IncidentStatus.RESOLVED, HAS_NO_CAUSE), 3),
    else_=4,
)
START_S = cast(func.extract("epoch", Incident.started_at), BigInteger)
# Ascending: rank, start (of what nobody handles the oldest first), and the newest id first.
URGENCY_KEYS: tuple[ColumnElement[int], ...] = (
    URGENCY,
    case((URGENCY < 2, START_S), else_=-START_S),
    0 - Incident.id,
)


def visible_incidents(caller: Caller, *conditions: ColumnElement[bool]) -> Select[Incident]:
    """Select incidents with an outage within the caller's scope; its site met the conditions while it lasted."""
    outage = select(IncidentSite.id).where(
        IncidentSite.incident_id == Incident.id, is_within_scope(caller, *conditions)
    )
    return select(Incident).where(exists(outage.correlate(Incident)))


def is_within_scope(caller: Caller, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the site of an `IncidentSite` was configured so, within the caller's scope, at some time of its outage.

    `conditions` are those on its `SiteConfiguration`.
    """
    outage_end = func.coalesce(IncidentSite.ended_at, IncidentSite.withdrawn_at, FAR_AHEAD)
    configured = select(SiteConfiguration.site_id).where(
        SiteConfiguration.site_id == IncidentSite.site_id,
        SiteConfiguration.started_at < outage_end,
        func.coalesce(SiteConfiguration.ended_at, FAR_AHEAD) > IncidentSite.started_at,
        visible_to(caller, SiteConfiguration),
        *conditions,
    )
    return exists(configured.correlate(IncidentSite))


def select_incidents(criteria: IncidentFilter, *, caller: Caller) -> Select[Incident]:
    """With a period, those that reach into it; a withdrawn incident counts at its start only. Raises NotAllowed."""
    query = visible_incidents(caller, *_site_conditions(criteria, caller))
    if criteria.statuses:
        query = query.where(Incident.status.in_(criteria.statuses))
    if criteria.kinds:
        query = query.where(Incident.kind.in_(criteria.kinds))
    if criteria.causes:
        query = query.where(Incident.cause.in_(criteria.causes))
    if criteria.period is not None:
        query = query.where(Incident.started_at < criteria.period.end)
        ongoing = Incident.ended_at.is_(None) & (Incident.status != IncidentStatus.WITHDRAWN)
        query = query.where(ongoing | (func.coalesce(Incident.ended_at, Incident.started_at) > criteria.period.start))
    return query


def _site_conditions(criteria: IncidentFilter, caller: Caller) -> list[ColumnElement[bool]]:
    """Return conditions that one and the same site of the incident must meet. Raises NotAllowed for a region."""
    conditions: list[ColumnElement[bool]] = []
    if criteria.regions:
        conditions.append(in_regions(caller, SiteConfiguration.village_code, criteria.regions))
    if criteria.providers:
        of_providers = select(Provider.id).where(Provider.slug.in_(criteria.providers))
        conditions.append(SiteConfiguration.provider_id.in_(of_providers))
    if criteria.technologies:
        conditions.append(SiteConfiguration.technology.in_(criteria.technologies))
    if criteria.site is not None:
        conditions.append(SiteConfiguration.site_id == criteria.site)
    return conditions
