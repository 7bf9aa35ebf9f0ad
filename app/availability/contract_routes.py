from typing import Any

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.aggregates.selection import SingleSite
from app.availability import contract_outages_table, monthly_close
from app.availability.contract_outage_schemas import ContractOutages
from app.availability.contract_outages import contract_outages
from app.core.clock import utc_now
from app.core.periods import Period
from app.core.tables import Table, max_rows
from app.judging.settled import sites_settled_until
from app.registry import store as registry
from app.registry.models import Site
from app.registry.params import SiteId
from app.web.deps import Reader, ReadSession
from app.web.pagination import PeriodCursorCodec
from app.web.params import Cursor, Limit, row_id
from app.web.period_params import PeriodParam
from app.web.table_files import TableParams, file_responses

router = APIRouter()

BY_POSITION = PeriodCursorCodec(row_id)


@router.get(
    "/sites/{id}/contract-outages", response_model=ContractOutages, responses=file_responses(404), tags=["one site"]
)
async def list_contract_outages(
    session: ReadSession,
    caller: Reader,
    files: TableParams,
    id: SiteId,
    period: PeriodParam,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """Outages of one site as its contracts count them.

    Every outage that touches them in the period, and why it counts or does not. With what bounds it, its cause, who set
    that and when, and the incident; a provider sees its own contracts. A file holds those of the whole period.
    """
    if not files.is_file:
        site, _ = await registry.get_site(session, id, caller=caller)
        whole, first = BY_POSITION.resume(cursor, period, 0)
        return await _list(session, site, whole, first=first, limit=limit, caller=caller)
    files.require_no_paging()

    async def build(session: AsyncSession) -> Table:
        site, _ = await registry.get_site(session, id, caller=caller)
        beyond = max_rows(contract_outages_table.COLUMNS, files.format) + 1  # so many are refused
        found = await _list(session, site, period, first=0, limit=beyond, caller=caller)
        single = SingleSite(site.id, caller.provider_id, site.code)
        response = ContractOutages.model_validate(found)
        return await contract_outages_table.contract_outages_table(session, response, single)

    return await files.respond("putus-layanan", build)


async def _list(
    session: AsyncSession, site: Site, period: Period, *, first: int, limit: int, caller: Caller
) -> dict[str, Any]:
    now = utc_now()
    settled = await sites_settled_until(session, [site.id], period, now=now)
    answer = await contract_outages(session, site, period, first=first, limit=limit, caller=caller, now=now)
    closed = await monthly_close.closed_figures(session, site.id, [period])
    last, count = first + limit, answer.pop("count")
    return {
        "from": period.start,
        "to": period.end,
        "settled_until": settled,
        "closed_at": closed[period]["closed_at"] if period in closed else None,
        **answer,
        "next_cursor": BY_POSITION.write_within(period, last) if last < count else None,
    }
