"""The sites that share a node, or a provider within a district, with their outages of late."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from app.incidents.correlation import LEAST_SITES, TOGETHER, Key
from app.incidents.models import Incident, IncidentSite, Kind
from app.registry.models import Lifecycle, Site

DISTRICT = func.left(Site.village_code, 5)


@dataclass(slots=True)
class Group:
    key: Key
    size: int
    outages: list[IncidentSite] = field(default_factory=list)


def key_of(incident: Incident | None) -> Key | None:
    if incident is None or incident.kind is not Kind.SHARED:
        return None
    return Key(incident.shared_parent_id, incident.shared_provider_id, incident.shared_district)


async def load(session: AsyncSession, fresh: Sequence[IncidentSite]) -> list[Group]:
    """The groups that these outages may be part of, each with its outages from shortly before them on, parents first.

    `fresh` need not be stored yet: they are put into their groups too.
    """
    shared = await _keys(session, {one.site_id for one in fresh})
    groups = await _sizes(session, {key for keys in shared.values() for key in keys})
    if not groups:
        return []
    stored = await _outages(session, groups, min(one.started_at for one in fresh) - TOGETHER)
    shared |= await _keys(session, {one.site_id for one in stored} - shared.keys())
    for one in {id(one): one for one in (*stored, *fresh)}.values():
        for key in shared[one.site_id]:
            if key in groups:
                groups[key].outages.append(one)
    return sorted(groups.values(), key=lambda group: (group.key.parent_id is None, group.key.parent_id or 0))


async def _keys(session: AsyncSession, site_ids: Collection[int]) -> dict[int, list[Key]]:
    if not site_ids:
        return {}
    rows = await session.execute(
        select(Site.id, Site.parent_id, Site.provider_id, DISTRICT).where(Site.id.in_(site_ids))
    )
    found: dict[int, list[Key]] = defaultdict(list)
    for site_id, parent_id, provider_id, district in rows:
        if parent_id is not None:
            found[site_id].append(Key(parent_id=parent_id))
        found[site_id].append(Key(provider_id=provider_id, district=district))
    return found


async def _sizes(session: AsyncSession, keys: Collection[Key]) -> dict[Key, Group]:
    """Of those that are large enough for a cause to be shared."""
    active = Site.lifecycle == Lifecycle.ACTIVE
    found: dict[Key, Group] = {}
    if parents := [key.parent_id for key in keys if key.parent_id is not None]:
        rows: Any = await session.execute(
            select(Site.parent_id, func.count()).where(active, Site.parent_id.in_(parents)).group_by(Site.parent_id)
        )
        found |= {Key(parent_id=parent): Group(Key(parent_id=parent), size) for parent, size in rows}
    if pairs := [(key.provider_id, key.district) for key in keys if key.provider_id is not None]:
        providers = {provider for provider, _ in pairs}
        rows = await session.execute(
            select(Site.provider_id, Site.village_code).where(active, Site.provider_id.in_(providers))
        )
        sizes: dict[Key, int] = defaultdict(int)
        for provider, village in rows:
            sizes[Key(provider_id=provider, district=village[:5])] += 1
        found |= {key: Group(key, sizes[key]) for key in keys if key in sizes}
    return {key: group for key, group in found.items() if group.size >= LEAST_SITES}


async def _outages(session: AsyncSession, keys: Collection[Key], since: datetime) -> list[IncidentSite]:
    shares: list[ColumnElement[bool]] = []
    if parents := [key.parent_id for key in keys if key.parent_id is not None]:
        shares.append(Site.parent_id.in_(parents))
    if pairs := [(key.provider_id, key.district) for key in keys if key.provider_id is not None]:
        shares.append(tuple_(Site.provider_id, DISTRICT).in_(pairs))
    rows = await session.scalars(
        select(IncidentSite)
        .join(IncidentSite.incident)
        .options(contains_eager(IncidentSite.incident))
        .join(Site, Site.id == IncidentSite.site_id)
        .where(IncidentSite.withdrawn_at.is_(None), or_(*shares))
        .where(IncidentSite.ended_at.is_(None) | (IncidentSite.ended_at > since))
        .order_by(IncidentSite.id)
    )
    return list(rows)
