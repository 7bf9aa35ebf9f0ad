"""Read sites as table rows, with values that an import reads back."""

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.tabular import Cell
from app.postgres.engine import Sessions, among, transaction
from app.registry import store
from app.registry.models import Contract, Site
from app.registry.spreadsheet_columns import SITE_COLUMNS, Column
from app.registry.store import SiteFilter

CHUNK_SITES = 1000

SiteRow = dict[str, Cell]  # by the columns' fields


def columns(*, contacts: bool) -> list[Column]:
    return [column for column in SITE_COLUMNS if contacts or not column.personal]


async def read_chunks(sessions: Sessions, filters: SiteFilter, *, caller: Caller) -> AsyncIterator[list[SiteRow]]:
    """Yield chunks in the order of ids, each from a transaction of its own: none stays open while a client is slow."""
    after: int | None = None
    while True:
        async with transaction(sessions) as session:
            page = await store.list_sites(session, filters, caller=caller, after=after, limit=CHUNK_SITES)
            sites = [site for site, _ in page]
            rows = await _rows(session, sites)
        yield rows
        if len(sites) < CHUNK_SITES:
            return
        after = sites[-1].id


async def _rows(session: AsyncSession, sites: Sequence[Site]) -> list[SiteRow]:
    parents = await _names(session, Site.id, Site.code, {site.parent_id for site in sites})
    contracts = await _names(session, Contract.id, Contract.number, {site.contract_id for site in sites})
    return [
        {column.field: _cell(getattr(site, column.field, None)) for column in SITE_COLUMNS}
        | {
            "provider": site.provider.slug,
            "parent": parents.get(site.parent_id),
            "contract": contracts.get(site.contract_id),
        }
        for site in sites
    ]


async def _names(session: AsyncSession, key: Any, name: Any, ids: set[int | None]) -> dict[int | None, str]:
    rows = await session.execute(select(key, name).where(among(key, [id for id in ids if id is not None])))
    return {row[0]: row[1] for row in rows}


def _cell(value: Any) -> Cell:
    return value.value if isinstance(value, StrEnum) else value
