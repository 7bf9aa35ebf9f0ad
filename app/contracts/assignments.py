"""Sites under contracts by day, as the caller sees them: listed, looked up and serialized."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ARRAY, Select, Text, any_, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from app.access.scope import Caller, in_region, visible_to
from app.contracts import assignment_faults
from app.contracts.assignment_faults import ConfiguredDays
from app.core.errors import NotFound
from app.postgres.engine import among
from app.registry.models import Contract, Provider, Site, SiteConfiguration, SiteContract
from app.registry.site_contracts import Assignment

COLUMNS = (
    "id",
    "contract_id",
    "site_id",
    "link_role",
    "monthly_fee_idr",
    "reason",
    "recorded_at",
    "changed_at",
    "withdrawn_at",
    "version",
)


@dataclass(frozen=True, slots=True)
class AssignmentFilter:
    contract_id: int | None = None
    site_id: int | None = None
    region: str | None = None
    withdrawn: bool = False  # with those that were taken back


async def list_assignments(
    session: AsyncSession,
    assignment_filter: AssignmentFilter,
    *,
    caller: Caller,
    after: tuple[date, int] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return what the caller sees of them, by the day they start on."""
    row = SiteContract
    query = _assignments(caller).order_by(row.started_on, row.id).limit(limit)
    if assignment_filter.contract_id is not None:
        query = query.where(row.contract_id == assignment_filter.contract_id)
    if assignment_filter.site_id is not None:
        query = query.where(row.site_id == assignment_filter.site_id)
    if assignment_filter.region is not None:
        query = query.where(in_region(Site.village_code, assignment_filter.region))
    if not assignment_filter.withdrawn:
        query = query.where(row.withdrawn_at.is_(None))
    if after is not None:
        query = query.where(tuple_(row.started_on, row.id) > tuple_(*after))
    return [present(*found, caller=caller) for found in await session.execute(query)]


def _assignments(caller: Caller) -> Select[SiteContract, Contract, Site]:
    """A district sees those of its sites, a provider those under its contracts, whoever's the sites are now."""
    query = (
        select(SiteContract, Contract, Site)
        .join(Contract, Contract.id == SiteContract.contract_id)
        .join(Contract.provider)
        .join(Site, Site.id == SiteContract.site_id)
        .options(contains_eager(Contract.provider))
        .where(in_region(Site.village_code, caller.region_code))
    )
    return query if caller.provider_id is None else query.where(Contract.provider_id == caller.provider_id)


async def get_assignment(
    session: AsyncSession, contract_id: int, assignment_id: int, *, caller: Caller, for_update: bool = False
) -> tuple[SiteContract, Contract, Site]:
    """Raises NotFound, alike for an unknown one, one of another contract, and one out of scope."""
    query = _assignments(caller).where(SiteContract.id == assignment_id, SiteContract.contract_id == contract_id)
    if for_update:
        query = query.with_for_update(of=SiteContract).execution_options(populate_existing=True)
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise NotFound(
            "Contract {contract} has no site assignment {given} within your scope",
            values={"contract": contract_id, "given": assignment_id},
        )
    return found[0], found[1], found[2]


async def recorded_with(session: AsyncSession, assignment_id: int, *, caller: Caller) -> list[dict[str, Any]]:
    """Return what one request recorded, by the id of its first assignment: all of them have its moment."""
    first = await session.get_one(SiteContract, assignment_id)
    same = (SiteContract.contract_id == first.contract_id, SiteContract.recorded_at == first.recorded_at)
    query = _assignments(caller).where(*same, SiteContract.recorded_by == first.recorded_by).order_by(SiteContract.id)
    return [present(*found, caller=caller) for found in await session.execute(query)]


async def find_sites(session: AsyncSession, idents: Collection[str], *, caller: Caller) -> dict[str, Site]:
    """Return the caller's sites by what names them: an id, or a code."""
    ids = [int(ident) for ident in idents if ident.isdecimal() and ident.isascii() and int(ident) < 2**31]
    codes = Site.code == any_(literal(list(idents), ARRAY(Text)))
    query = select(Site).where(or_(among(Site.id, ids), codes), visible_to(caller, Site)).order_by(Site.id)
    sites = list(await session.scalars(query))
    named = {str(site.id): site for site in sites} | {site.code: site for site in sites}
    return {ident: named[ident] for ident in idents if ident in named}


async def configured_days(session: AsyncSession, site_ids: Collection[int]) -> Mapping[int, Sequence[ConfiguredDays]]:
    """Return what each site was on its days, by its id."""
    row = SiteConfiguration
    query = (
        select(row, Provider.slug)
        .join(Provider, Provider.id == row.provider_id)
        .where(among(row.site_id, site_ids))
        .order_by(row.started_at)
    )
    by_site: defaultdict[int, list[tuple[SiteConfiguration, str]]] = defaultdict(list)
    for configuration, slug in await session.execute(query):
        by_site[configuration.site_id].append((configuration, slug))
    return defaultdict(list, {n: assignment_faults.days_of(rows) for n, rows in by_site.items()})


def present(row: SiteContract, contract: Contract, site: Site, *, caller: Caller) -> dict[str, Any]:
    """Return the fields of a SiteAssignmentOut; a provider reads no names."""
    start, until = Assignment(row, contract).days
    return {name: getattr(row, name) for name in COLUMNS} | {
        "contract": contract.number,
        "recorded_by": row.recorded_by if caller.provider_id is None else None,
        "changed_by": row.changed_by if caller.provider_id is None else None,
        "provider": contract.provider.slug,
        "site": site.code,
        "name": site.name,
        "village_code": site.village_code,
        "from": row.started_on,
        "to": row.ended_on,
        "valid_from": start if start < until else None,
        "valid_to": until if start < until < date.max else None,
    }
