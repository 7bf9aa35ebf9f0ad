"""`GET /compliance`: whether providers' lines are what was promised, by the published method."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates import selection
from app.aggregates.cache_key import AggregateKind
from app.aggregates.cached_endpoint import Aggregate, AggregateSpec, aggregate_responses
from app.aggregates.params import TechnologyFilter
from app.aggregates.selection import SiteGroup
from app.compliance import compliance
from app.compliance.compliance_table import attested_table, compliance_table
from app.compliance.params import CompliancePeriod
from app.compliance.schemas import AttestedOut, ComplianceOut
from app.core.clock import utc_now
from app.registry.params import ProviderSlug, RegionCode
from app.web.deps import Reader
from app.web.pagination import PeriodCursorCodec
from app.web.params import Cursor, Limit

router = APIRouter(prefix="/compliance", tags=["aggregates"])

BY_POSITION = PeriodCursorCodec(str)
ROWS = AggregateSpec(AggregateKind.AVAILABILITY, ComplianceOut, "compliance", compliance_table)
ATTESTED = AggregateSpec(AggregateKind.AVAILABILITY, AttestedOut, "attested", attested_table, paged=True)


class ComplianceGroup:
    """Which sites are asked about."""

    def __init__(
        self,
        caller: Reader,
        region: RegionCode = None,
        provider: ProviderSlug = None,
        technology: TechnologyFilter = None,
    ) -> None:
        self.caller, self.region, self.provider, self.technology = caller, region, provider, technology

    async def select(self, session: AsyncSession) -> SiteGroup:
        """Raises NotAllowed for a region out of scope, Invalid for an unknown provider, or another than one's own."""
        return await selection.select_any(session, self.region, self.provider, self.technology, caller=self.caller)


Group = Annotated[ComplianceGroup, Depends()]


@router.get("", response_model=ComplianceOut, responses=aggregate_responses(403))
async def get_compliance(request: Request, aggregate: Aggregate, group: Group, period: CompliancePeriod) -> Response:
    """Whether lines are what was promised.

    By the published method, for each provider, technology and contract speed: availability by contract, speed tests
    against the contract, latency, each also of the evening. By default of the last whole month; days that are over.
    """

    async def compute(session: AsyncSession, of: SiteGroup) -> dict[str, Any]:
        return await compliance.list_rows(session, of, period, now=utc_now())

    return await aggregate.respond(ROWS, period, group.select, compute, variant=_default(request, period))


@router.get("/attested", response_model=AttestedOut, responses=aggregate_responses(403))
async def list_attested(
    request: Request,
    aggregate: Aggregate,
    group: Group,
    period: CompliancePeriod,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """What could not be measured.

    Site by site and part by part, with the reason; tests that were put off or failed are among it.
    """
    whole, after = BY_POSITION.resume(cursor, period, "")

    async def compute(session: AsyncSession, of: SiteGroup) -> dict[str, Any]:
        most = None if aggregate.is_file else limit
        answer = await compliance.list_attested(session, of, whole, after=after, limit=most, now=utc_now())
        position = answer.pop("next_position")
        return answer | {"next_cursor": position and BY_POSITION.write_within(whole, position)}

    return await aggregate.respond(ATTESTED, whole, group.select, compute, variant=_default(request, whole))


def _default(request: Request, period: object) -> object:
    """Return the period where the query does not name it, to tell one month's default from the next one's."""
    return None if request.query_params.keys() & {"from", "to", "period", "cursor"} else period
