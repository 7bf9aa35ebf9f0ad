"""The filter of incidents: as query parameters, and as the body of a bulk change has it under the same names."""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.errors import Invalid
from app.core.periods import Period
from app.incidents.bulk_schemas import IncidentFilterIn
from app.incidents.models import IncidentKind, IncidentStatus
from app.incidents.selection import IncidentFilter
from app.registry import params, providers, regions
from app.registry.models import Cause
from app.registry.params import ProviderSlugs, RegionCodes, SiteIdFilter, TechnologyFilter
from app.web.params import SEVERAL, Several
from app.web.period_params import PeriodName, from_query, parse_past_period, to_query


def explicit_period(
    from_: Annotated[str | None, from_query("the beginning")] = None,
    to: Annotated[str | None, to_query("now")] = None,
    period: PeriodName = None,
) -> Period | None:
    """Return None, for all of time, if the query names none of them. Raises Invalid with every wrong parameter."""
    named = from_ is not None or to is not None or period is not None
    return parse_past_period(from_, to, period) if named else None


def read_filter(
    period: Annotated[Period | None, Depends(explicit_period)],
    region: RegionCodes,
    provider: ProviderSlugs,
    site: SiteIdFilter,
    status: Annotated[
        Several[IncidentStatus],
        Query(description=f"{SEVERAL}; `left_out` counts the others", examples=[["open", "acknowledged"]]),
    ] = (),
    kind: Annotated[Several[IncidentKind], Query(description=SEVERAL, examples=[["shared"]])] = (),
    cause: Annotated[
        Several[Cause], Query(description=f"as a person set it: {SEVERAL}", examples=[["power", "provider"]])
    ] = (),
    technology: TechnologyFilter = (),
) -> IncidentFilter:
    return IncidentFilter(status, kind, cause, period, region, provider, technology, site)


Incidents = Annotated[IncidentFilter, Depends(read_filter)]


async def resolve_filter(session: AsyncSession, given: IncidentFilterIn, *, caller: Caller) -> IncidentFilter:
    """Raises Invalid for an unknown region, provider or site, and for a wrong period, each below `filter`."""
    bounds = given.from_, given.to, given.period
    try:
        return IncidentFilter(
            given.status,
            given.kind,
            given.cause,
            None if bounds == (None, None, None) else parse_past_period(*bounds),
            await regions.require_current_codes(session, given.region),
            await providers.require_slugs(session, given.provider, caller=caller),
            given.technology,
            await params.read_site(session, caller, given.site),
        )
    except Invalid as invalid:
        raise Invalid(*(replace(fault, field=f"filter.{fault.field}") for fault in invalid.faults)) from None
