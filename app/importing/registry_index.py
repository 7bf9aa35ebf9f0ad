"""Load what the names and codes of a file may refer to in the registry."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, undefer

from app.access.scope import Caller, visible_to
from app.core.clock import today
from app.importing import provider_names
from app.importing.known_sites import READ_AT_ONCE
from app.importing.near_names import NearNames
from app.importing.provider_names import ProviderFinder
from app.importing.villages import VillageFinder
from app.postgres.engine import among
from app.registry.models import (
    Contract,
    Lifecycle,
    Provider,
    RegionAlias,
    Site,
    SiteContract,
    SiteKind,
)
from app.registry.vocabulary import fold


@dataclass(frozen=True, slots=True)
class RegistryIndex:
    """What the names and codes of a file may refer to, within the caller's scope."""

    caller: Caller
    villages: VillageFinder
    providers: ProviderFinder
    nodes: Mapping[str, int]  # ids by code
    contracts: Mapping[str, int]  # ids by folded number
    contract_numbers: Mapping[int, str]
    sites: Mapping[int, Site] = field(default_factory=dict)  # those that rows describe, by id
    parents: Mapping[int, str] = field(default_factory=dict)  # codes by id, of the sites' present parents
    coming: Collection[tuple[int, int, date]] = frozenset()  # contracts that begin later: site, contract, first day

    @property
    def names(self) -> dict[str, Mapping[int, str]]:
        """What people call that which sites refer to by id, by the site's field."""
        nodes = {node_id: code for code, node_id in self.nodes.items()}
        return {"contract_id": self.contract_numbers, "parent_id": {**nodes, **self.parents}}


async def load(session: AsyncSession, *, caller: Caller) -> RegistryIndex:
    """Load all but the sites: those are loaded once villages are known (`known_sites`)."""
    node = (Site.kind == SiteKind.NODE) & (Site.lifecycle != Lifecycle.RETIRED)
    nodes = await session.execute(select(Site.code, Site.id).where(node, visible_to(caller, Site)))
    contracts = (await session.execute(select(Contract.number, Contract.id))).all()
    in_force = RegionAlias.valid_to.is_(None) | (RegionAlias.valid_to <= today())
    aliases = await session.execute(select(RegionAlias.code, RegionAlias.region_code).where(in_force))
    providers = await session.scalars(select(Provider).order_by(Provider.slug))
    near_names = NearNames()
    return RegistryIndex(
        caller,
        VillageFinder(caller, {row.code: row.region_code for row in aliases}, near_names),
        provider_names.finder(providers, near_names),
        {row.code: row.id for row in nodes},
        {fold(row.number): row.id for row in contracts},
        {row.id: row.number for row in contracts},
    )


async def with_sites(session: AsyncSession, index: RegistryIndex, site_ids: Collection[int]) -> RegistryIndex:
    """Add everything about the sites that rows describe."""
    query = (
        select(Site)
        .where(among(Site.id, site_ids))
        .options(joinedload(Site.provider), undefer(Site.contract_id), undefer(Site.contract_from))
        .execution_options(populate_existing=True)
    )
    sites: dict[int, Site] = {}
    async for part in (await session.stream_scalars(query)).partitions(READ_AT_ONCE):
        sites.update((site.id, site) for site in part)
    parent_ids = {site.parent_id for site in sites.values() if site.parent_id is not None}
    parents = await session.execute(select(Site.id, Site.code).where(among(Site.id, parent_ids)))
    coming = await session.execute(
        select(SiteContract.site_id, SiteContract.contract_id, SiteContract.started_on).where(
            among(SiteContract.site_id, site_ids),
            SiteContract.started_on > today(),
            SiteContract.withdrawn_at.is_(None),
        )
    )
    return replace(
        index,
        sites=sites,
        parents={row.id: row.code for row in parents},
        coming={(row.site_id, row.contract_id, row.started_on) for row in coming},
    )
