"""How long incidents waited for an office, and for their end: exact percentiles of those that began in a period."""

from typing import Any

from sqlalchemy import and_, case, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import ColumnElement, func

from app.access.scope import Caller, in_region, visible_to
from app.core.periods import Period
from app.incidents.models import Incident, IncidentSite, IncidentStatus
from app.registry.models import Site

PERCENTILES = {"p50_s": 0.5, "p90_s": 0.9}  # nearest rank: a value that occurred


async def response_times(session: AsyncSession, region: str, period: Period, *, caller: Caller) -> dict[str, Any]:
    """Return the fields of ResponseTimes, of incidents with a site of the region that the caller sees.

    Withdrawn ones are none; merged ones count with the one that they became.
    """
    incident = Incident
    first_known = func.coalesce(incident.confirmed_at, incident.opened_at)
    to_acknowledge = _seconds(incident.acknowledged_at - first_known)
    to_resolve = _seconds(incident.ended_at - incident.started_at)
    acknowledged, ended = incident.acknowledged_at.is_not(None), incident.ended_at.is_not(None)
    query = select(
        func.count(),
        func.count().filter(acknowledged),
        func.count().filter(ended),
        func.count().filter(and_(ended, incident.acknowledged_at.is_(None))),
        *_percentiles(to_acknowledge, acknowledged),
        *_percentiles(to_resolve, ended),
    ).where(
        incident.started_at >= period.start,
        incident.started_at < period.end,
        incident.status != IncidentStatus.WITHDRAWN,
        incident.merged_into.is_(None),
        _has_visible_site(region, caller),
    )
    count, acknowledged_count, ended_count, unacknowledged, *values = (await session.execute(query)).one()
    names = (*PERCENTILES, "max_s")
    return {
        "incidents": count,
        "acknowledged": acknowledged_count,
        "ended": ended_count,
        "ended_unacknowledged": unacknowledged,
        "to_acknowledge": dict(zip(names, values[: len(names)], strict=True)),
        "to_end": dict(zip(names, values[len(names) :], strict=True)),
    }


def _has_visible_site(region: str, caller: Caller) -> ColumnElement[bool]:
    return exists().where(
        IncidentSite.incident_id == Incident.id,
        IncidentSite.withdrawn_at.is_(None),
        Site.id == IncidentSite.site_id,
        in_region(Site.village_code, region),
        visible_to(caller, Site),
    )


def _seconds(length: Any) -> Any:
    """Return whole seconds, never below 0: an office may know before the second loss confirms it."""
    seconds = func.floor(func.extract("epoch", length))
    return case((seconds < 0, 0), else_=seconds)


def _percentiles(value: Any, counted: ColumnElement[bool]) -> list[Any]:
    of = [func.percentile_disc(share).within_group(value).filter(counted) for share in PERCENTILES.values()]
    return [*of, func.max(value).filter(counted)]
