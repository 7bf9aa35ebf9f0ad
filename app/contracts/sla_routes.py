"""`GET /sla`: which sites met their contracts in a period, by how much, and what was left out."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import require_region
from app.aggregates import selection
from app.aggregates.cache_key import AggregateKind
from app.aggregates.cached_endpoint import Aggregate, AggregateSpec, aggregate_responses
from app.aggregates.selection import SiteGroup
from app.availability.verdict_counts import VerdictKind
from app.contracts import sla, sla_filter
from app.contracts.sla_filter import SlaFilter
from app.contracts.sla_schemas import SlaOut
from app.contracts.sla_table import sla_table
from app.core.clock import utc_now
from app.core.periods import Period, last_whole_month
from app.registry.params import ProviderSlugs, RegionCodes, TechnologyFilter
from app.web.deps import Reader, Session
from app.web.pagination import PeriodCursorCodec
from app.web.params import SEVERAL, Cursor, Limit, Several
from app.web.period_params import PeriodName, from_query, parse_past_period, to_query

router = APIRouter(tags=["aggregates"])

BY_POSITION = PeriodCursorCodec(str)
LAST_MONTH = "the last whole month"


async def read_period(
    from_: Annotated[str | None, from_query(LAST_MONTH)] = None,
    to: Annotated[str | None, to_query(LAST_MONTH)] = None,
    period: PeriodName = None,
) -> Period:
    """Default to the last whole month in WITA. Raises Invalid with every wrong parameter."""
    if from_ is None and to is None and period is None:
        return last_whole_month(utc_now())
    return parse_past_period(from_, to, period)


async def read_filter(
    session: Session,
    caller: Reader,
    region: RegionCodes,
    provider: ProviderSlugs,
    contract: Annotated[
        Several[Annotated[str, Field(min_length=1, max_length=200)]],
        Query(description=f"ids or numbers of contracts: {SEVERAL}", examples=[["027/1123/DISKOMINFO/2026"]]),
    ] = (),
    technology: TechnologyFilter = (),
    verdict: Annotated[
        Several[VerdictKind],
        Query(
            description=f"what came of it, as closed or by its correction: {SEVERAL}",
            examples=[["missed", "undetermined"]],
        ),
    ] = (),
) -> SlaFilter:
    """Raises Invalid for whatever is unknown or belongs to another provider, NotAllowed for regions out of scope."""
    for code in region:
        require_region(caller, code)
    return SlaFilter(
        await sla_filter.find_providers(session, provider),
        await sla_filter.find_contracts(session, contract, caller=caller),
        region,
        frozenset(technology),
        frozenset(verdict),
    )


@router.get("/sla", response_model=SlaOut, responses=aggregate_responses(403))
async def get_sla(
    request: Request,
    aggregate: Aggregate,
    caller: Reader,
    period: Annotated[Period, Depends(read_period)],
    filters: Annotated[SlaFilter, Depends(read_filter)],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Which sites met their contracts in a month, by how much, and what was left out.

    A row for each site and contract, by default of the last whole month, with totals. Sites that were in service
    without a contract are listed too. A closed month keeps its figures, with the latest correction beside them.
    """
    whole, after = BY_POSITION.resume(cursor, period, "")

    async def compute(session: AsyncSession, group: SiteGroup) -> dict[str, Any]:
        answer = await sla.list_rows(
            session,
            group,
            whole,
            filters,
            after=after,
            limit=None if aggregate.is_file else limit,
            now=utc_now(),
        )
        position = answer.pop("next_position")
        return answer | {"next_cursor": position and BY_POSITION.write_within(whole, position)}

    async def select(session: AsyncSession) -> SiteGroup:
        """Select the smallest group that holds all rows."""
        region = filters.regions[0] if len(filters.regions) == 1 else None
        provider = next(iter(filters.providers.values())) if len(filters.providers) == 1 else None
        return await selection.select_any(session, region, provider, None, caller=caller)

    # A settled month never expires: without its name in the query, the last one is to be told from the one before.
    is_default = not request.query_params.keys() & {"from", "to", "period", "cursor"}
    spec = AggregateSpec(
        AggregateKind.AVAILABILITY,
        SlaOut,
        "-".join(["sla", *sorted(filters.verdicts)]),
        partial(sla_table, filters=filters),
        paged=True,
    )
    return await aggregate.respond(spec, whole, select, compute, variant=whole if is_default else None)
