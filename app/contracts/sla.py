"""The month's list: what came of each site under each of its contracts, and the sums over contracts and districts."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import CODE_LENGTHS, SiteGroup
from app.availability import site_history
from app.availability.site_verdicts import SiteVerdict, site_verdicts
from app.contracts import sla_notes
from app.contracts.sla_filter import SlaFilter
from app.contracts.sla_totals import RowSum, sum_by
from app.core.periods import Period
from app.judging.settled import sites_settled_until
from app.postgres.engine import among
from app.registry import regions
from app.registry.models import Level, Provider, Site

DISTRICT, SUBDISTRICT = CODE_LENGTHS[Level.KABUPATEN_KOTA], CODE_LENGTHS[Level.KECAMATAN]


class Names(NamedTuple):
    """What rows are called by: sites and providers by their ids."""

    sites: Mapping[int, Any]
    providers: Mapping[int, Any]


async def list_rows(
    session: AsyncSession,
    group: SiteGroup,
    period: Period,
    filters: SlaFilter,
    *,
    after: str,
    limit: int | None,
    now: datetime,
) -> dict[str, Any]:
    """Return a page of the list after that position, all of it without a limit, with the sums of all its rows."""
    sites = await site_history.list_sites(session, group.site_ids)
    settled = await sites_settled_until(session, [site.id for site in sites], period, now=now)
    dated = await site_history.load_configurations(session, [site.id for site in sites])
    rows = [row for row in await site_verdicts(session, group, period, dated, now=now) if filters.matches(row)]
    names = await _names(session, {row.site_id for row in rows})
    page = await asyncio.to_thread(_page, rows, names, after, limit)
    return {
        "from": period.start,
        "to": period.end,
        "settled_until": settled,
        "notes": list(sla_notes.notes(period, settled, now, corrected=sum(row.correction is not None for row in rows))),
        **page,
    }


async def _names(session: AsyncSession, site_ids: set[int]) -> Names:
    columns = (Site.id, Site.code, Site.name, Site.service_no)
    sites = await session.execute(select(*columns).where(among(Site.id, site_ids)))
    providers = await session.execute(select(Provider.id, Provider.slug, Provider.name))
    return Names({row.id: row for row in sites}, {row.id: row for row in providers})


def _page(rows: Iterable[SiteVerdict], names: Names, after: str, limit: int | None) -> dict[str, Any]:
    """Return the fields that depend on rows. Runs in a thread: there may be tens of thousands."""

    def position(row: SiteVerdict) -> str:
        return f"{names.sites[row.site_id].code} {row.contract_id or 0:010} {row.figures['link_role'] or ''}"

    ordered = sorted(rows, key=position)
    rest = [row for row in ordered if position(row) > after]
    page = rest[:limit]
    return {
        "items": [_row(row, names) for row in page],
        "next_position": position(page[-1]) if len(page) < len(rest) else None,
        "totals": _totals(ordered, names),
    }


def _row(row: SiteVerdict, names: Names) -> dict[str, Any]:
    site, village = names.sites[row.site_id], row.place.village_code
    return {
        "site_id": site.id,
        "code": site.code,
        "name": site.name,
        "service_no": site.service_no,
        "village_code": village,
        "village": regions.names()[village],
        "subdistrict": regions.names()[village[:SUBDISTRICT]],
        "district": regions.names()[village[:DISTRICT]],
        "technology": row.place.technology,
        "provider": names.providers[row.place.provider_id].slug,
        **row.figures,
        "closed_at": row.closed_at,
        "correction": row.correction,
    }


def _totals(rows: Sequence[SiteVerdict], names: Names) -> dict[str, Any]:
    whole = RowSum()
    for row in rows:
        whole.add(row)
    by_contract = sum_by(rows, lambda row: row.contract_id)
    by_provider = sum_by(rows, lambda row: names.providers[row.place.provider_id])
    by_district = sum_by(rows, lambda row: row.place.village_code[:DISTRICT])
    return {
        "all": whole.fields,
        "by_contract": [
            {"contract": of.rows[0].figures["contract"], **of.fields} for _, of in sorted(by_contract.items())
        ],
        "by_provider": [
            {"provider": provider.slug, "name": provider.name, **of.fields}
            for provider, of in sorted(by_provider.items(), key=lambda item: item[0].slug)
        ],
        "by_district": [
            {"code": code, "name": regions.names()[code], **of.fields} for code, of in sorted(by_district.items())
        ],
    }
