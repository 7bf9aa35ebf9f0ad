"""Read sites as table rows, with values that an import reads back."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, visible_to
from app.core.tabular import Cell
from app.postgres.engine import among
from app.postgres.read_replica import ReadReplica
from app.registry import references, store, vantage_lists
from app.registry.models import Contract, Site
from app.registry.site_labels import region_labels
from app.registry.spreadsheet_columns import EXPORT_COLUMNS, SITE_COLUMNS, SheetColumn
from app.registry.store import SiteFilter

CHUNK_SITES = 1000
REFERENCES = frozenset({"provider", "vantages", "parent", "contract", "contract_from"})  # columns that name others
OWN_COLUMNS = [column.field for column in SITE_COLUMNS if column.field not in REFERENCES]

SiteRow = dict[str, Cell]  # by the columns' fields


def columns(*, contacts: bool) -> list[SheetColumn]:
    return [column for column in EXPORT_COLUMNS if contacts or not column.personal]


async def read_chunks(reads: ReadReplica, filters: SiteFilter, *, caller: Caller) -> AsyncIterator[list[SiteRow]]:
    """Yield chunks in the order of ids, each from a transaction of its own: none stays open while a client is slow."""
    after: int | None = None
    while True:
        async with reads.transaction() as session:
            page = await store.list_sites(session, filters, caller=caller, after=after, limit=CHUNK_SITES)
            sites = [site for site, _ in page]
            rows = await _rows(session, sites, caller=caller)
        yield rows
        if len(sites) < CHUNK_SITES:
            return
        after = sites[-1].id


async def _rows(session: AsyncSession, sites: Sequence[Site], *, caller: Caller) -> list[SiteRow]:
    """A parent beyond the caller's scope is left blank: imported again, a blank cell changes nothing."""
    of_parents = among(Site.id, {site.parent_id for site in sites} - {None}) & visible_to(caller, Site)
    of_contracts = among(Contract.id, {site.contract_id for site in sites} - {None})
    parents = await _names(session, select(Site.id, Site.code).where(of_parents))
    contracts = await _names(session, select(Contract.id, Contract.number).where(of_contracts))
    starts = await _names(
        session, select(Site.id, Site.contract_from).where(among(Site.id, [site.id for site in sites]))
    )
    vantages = {vantage.number: vantage.name for vantage in await references.read_vantages(session)}
    return [
        {name: _cell(getattr(site, name, None)) for name in OWN_COLUMNS}
        | region_labels(site.village_code)
        | {
            "provider": site.provider.slug,
            "vantages": vantage_lists.written(site.vantages, vantages),
            "parent": parents.get(site.parent_id),
            "contract": contracts.get(site.contract_id),
            "contract_from": _cell(starts[site.id]),
        }
        for site in sites
    ]


async def _names(session: AsyncSession, query: Select[int, Any]) -> dict[int | None, Any]:
    return {row[0]: row[1] for row in await session.execute(query)}


def _cell(value: Any) -> Cell:
    if isinstance(value, date):
        return value.isoformat()
    return value.value if isinstance(value, StrEnum) else value
