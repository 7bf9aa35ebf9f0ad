"""`GET /compliance` and what it attests: the answers, from the lines of a group."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import CODE_LENGTHS, SiteGroup
from app.compliance.lines import read_lines
from app.compliance.method import METODE_V1, Method
from app.compliance.row import ComplianceUnit, units_of
from app.compliance.row_fields import attested_fields, row_fields
from app.compliance.samples import drawn_sites
from app.contracts import sla_notes
from app.core.periods import Period
from app.judging.settled import sites_settled_until
from app.postgres.engine import among
from app.registry import regions
from app.registry.models import Level, Provider, Site

DISTRICT, SUBDISTRICT = CODE_LENGTHS[Level.KABUPATEN_KOTA], CODE_LENGTHS[Level.KECAMATAN]
METHOD_FIELDS = (
    *("version", "speed_of_contract_pct", "tests_pct", "looks_pct", "limit_ms", "least_tests", "least_tests_of_site"),
    *("least_looks", "least_looks_of_site", "least_sites_pct", "evening_hours"),
)


class Measured(NamedTuple):
    """The rows of a group, and what they are called by."""

    units: list[ComplianceUnit]
    sample: str | None
    site_ids: set[int]
    providers: Mapping[int, Provider]


async def list_rows(session: AsyncSession, group: SiteGroup, period: Period, *, now: datetime) -> dict[str, Any]:
    """Return the fields of ComplianceOut."""
    measured = await _measure(session, group, period, METODE_V1, now=now)
    settled = await sites_settled_until(session, sorted(measured.site_ids), period, now=now)
    days = (period.end - period.start).days
    rows = await asyncio.to_thread(
        lambda: [row_fields(unit, measured.providers[unit.provider_id], days) for unit in measured.units]
    )
    return {
        "from": period.start,
        "to": period.end,
        "settled_until": settled,
        "method": {name: getattr(METODE_V1, name) for name in METHOD_FIELDS},
        "sample": measured.sample,
        "notes": list(sla_notes.notes(period, settled, now)),
        "items": rows,
    }


async def list_attested(
    session: AsyncSession, group: SiteGroup, period: Period, *, after: str, limit: int | None, now: datetime
) -> dict[str, Any]:
    """Return the fields of AttestedOut, from the first position after that one, all of them without a limit."""
    measured = await _measure(session, group, period, METODE_V1, now=now)
    columns = (Site.id, Site.code, Site.name, Site.village_code)
    named = await session.execute(select(*columns).where(among(Site.id, measured.site_ids)))
    sites = {row.id: _labels(row) for row in named}
    days = (period.end - period.start).days

    def page() -> dict[str, Any]:
        rows = sorted(_attested(measured, sites, days), key=_position)
        rest = [row for row in rows if _position(row) > after]
        return {
            "items": rest[:limit],
            "next_position": _position(rest[limit - 1]) if limit is not None and limit < len(rest) else None,
        }

    fields = await asyncio.to_thread(page)  # tens of thousands
    return {"from": period.start, "to": period.end, "sample": measured.sample, **fields}


async def _measure(
    session: AsyncSession, group: SiteGroup, period: Period, method: Method, *, now: datetime
) -> Measured:
    sample, drawn = await drawn_sites(session, period)
    lines = await read_lines(session, group, period, method, now=now)
    providers = {row.id: row for row in await session.scalars(select(Provider))}
    return Measured(units_of(lines, set(drawn), method), sample, {key.site_id for key in lines}, providers)


def _labels(site: Any) -> dict[str, Any]:
    village = site.village_code
    return {
        "site_id": site.id,
        "code": site.code,
        "name": site.name,
        "village": regions.names()[village],
        "subdistrict": regions.names()[village[:SUBDISTRICT]],
        "district": regions.names()[village[:DISTRICT]],
    }


def _attested(measured: Measured, sites: Mapping[int, dict[str, Any]], days: int) -> Iterator[dict[str, Any]]:
    for unit in measured.units:
        yield from attested_fields(unit, measured.providers[unit.provider_id].slug, sites, days)


def _position(row: Mapping[str, Any]) -> str:
    return f"{row['code']} {row['provider']} {row['technology']} {row['part']} {row['why']}"
