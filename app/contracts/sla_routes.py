"""`GET /sla`: which sites met their contracts in a period, by how much, and what was left out."""

from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import require_region
from app.aggregates.cache_key import AggregateKind
from app.aggregates.cached_endpoint import Aggregate, AggregateSpec, aggregate_responses
from app.aggregates.selection import SiteGroup
from app.availability.verdict_counts import VerdictKind
from app.contracts import sla
from app.contracts.sla_filter import SlaFilter, find_contracts
from app.contracts.sla_schemas import SlaOut
from app.contracts.sla_table import sla_table
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid
from app.core.periods import Period, last_whole_month
from app.core.validation import MESSAGES, closest
from app.profiles import Technology
from app.registry import providers, regions
from app.web.deps import Reader, Session
from app.web.pagination import PeriodCursorCodec
from app.web.params import Cursor, Limit
from app.web.period_params import From, PeriodName, To, parse_past_period

router = APIRouter(tags=["aggregates"])

SLA = AggregateSpec(AggregateKind.AVAILABILITY, SlaOut, "pemenuhan-kontrak", sla_table, paged=True)
BY_POSITION = PeriodCursorCodec(str)

Choice = TypeVar("Choice", bound=StrEnum)


def read_period(from_: From = None, to: To = None, period: PeriodName = None) -> Period:
    """Default to the last whole month in WITA. Raises Invalid with every wrong parameter."""
    if from_ is None and to is None and period is None:
        return last_whole_month(utc_now())
    return parse_past_period(from_, to, period)


def _several(what: str, example: str) -> Any:
    return Query(
        min_length=1, max_length=500, description=f"{what}; several are separated by commas", examples=[example]
    )


async def read_filter(
    session: Session,
    caller: Reader,
    provider: Annotated[str | None, _several("only sites of this provider: id or slug", "telkom-wms")] = None,
    contract: Annotated[str | None, _several("only sites under this contract: id or number", "7")] = None,
    region: Annotated[str | None, _several("only sites in this region: a Kemendagri code", "64.02,64.03")] = None,
    technology: Annotated[str | None, _several("only sites of this technology", "fiber")] = None,
    verdict: Annotated[str | None, _several("only rows of which this came", "missed,undetermined")] = None,
) -> SlaFilter:
    """Raises Invalid for whatever is unknown or belongs to another provider, NotAllowed for regions out of scope."""
    found = [await providers.require_provider(session, word, caller=caller) for word in _words(provider)]
    codes = [await regions.current_code(session, word) for word in _words(region)]
    for code in codes:
        regions.require_known(code)
        require_region(caller, code)
    return SlaFilter(
        frozenset(each.id for each in found),
        await find_contracts(session, _words(contract), caller=caller),
        tuple(codes),
        _choices("technology", technology, Technology),
        _choices("verdict", verdict, VerdictKind),
    )


def _words(values: str | None) -> list[str]:
    return [word for value in (values or "").split(",") if (word := value.strip())]


def _choices(field: str, values: str | None, choices: type[Choice]) -> frozenset[Choice]:
    """Raises Invalid for a value that is none of the choices."""
    known = [choice.value for choice in choices]
    faults = [
        Fault(
            field,
            "enum",
            MESSAGES["enum"],
            "Did you mean {near}?" if (near := closest(word, known)) else None,
            values={"given": word[:60], "expected": ", ".join(known), "near": near},
        )
        for word in _words(values)
        if word not in known
    ]
    if faults:
        raise Invalid(*faults)
    return frozenset(choices(word) for word in _words(values))


@router.get("/sla", response_model=SlaOut, responses=aggregate_responses(403))
async def get_sla(
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
        return filters.group(caller)

    return await aggregate.respond(SLA, whole, select, compute)
