"""Load groups of sites that share a node, or a provider within a district, with their recent outages."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from app.incidents.correlation import CORRELATION_WINDOW, MIN_SITES, GroupKey
from app.incidents.models import Incident, IncidentKind, IncidentSite
from app.postgres.engine import among
from app.registry.models import Lifecycle, Site

DISTRICT = func.left(Site.village_code, 5)


@dataclass(slots=True)
class Group:
    key: GroupKey
    size: int
    outages: list[IncidentSite] = field(default_factory=list)


def key_of(incident: Incident | None) -> GroupKey | None:
    if incident is None or incident.kind is not IncidentKind.SHARED:
        return None
    return GroupKey(incident.shared_parent_id, incident.shared_provider_id, incident.shared_district)


async def load_groups(session: AsyncSession, new_outages: Sequence[IncidentSite]) -> list[Group]:
    """Return the groups that these outages may belong to, groups of a parent first.

    Each holds its outages from the correlation window before them on. `new_outages` need not be stored yet: they are
    added to their groups too.
    """
    keys = await _group_keys(session, {row.site_id for row in new_outages})
    groups = await _large_groups(session, {key for site_keys in keys.values() for key in site_keys})
    if not groups:
        return []
    stored = await _outages(session, groups, min(row.started_at for row in new_outages) - CORRELATION_WINDOW)
    keys |= await _group_keys(session, {row.site_id for row in stored} - keys.keys())
    for row in {id(row): row for row in (*stored, *new_outages)}.values():
        for key in keys[row.site_id]:
            if key in groups:
                groups[key].outages.append(row)
    return sorted(groups.values(), key=lambda group: (group.key.parent_id is None, group.key.parent_id or 0))


async def _group_keys(session: AsyncSession, site_ids: Collection[int]) -> dict[int, list[GroupKey]]:
    if not site_ids:
        return {}
    rows = await session.execute(
        select(Site.id, Site.parent_id, Site.provider_id, DISTRICT).where(among(Site.id, site_ids))
    )
    keys: dict[int, list[GroupKey]] = defaultdict(list)
    for site_id, parent_id, provider_id, district in rows:
        if parent_id is not None:
            keys[site_id].append(GroupKey(parent_id=parent_id))
        keys[site_id].append(GroupKey(provider_id=provider_id, district=district))
    return keys


async def _large_groups(session: AsyncSession, keys: Collection[GroupKey]) -> dict[GroupKey, Group]:
    """Return only the groups that are large enough for a shared cause."""
    active = Site.lifecycle == Lifecycle.ACTIVE
    groups: dict[GroupKey, Group] = {}
    if parents := [key.parent_id for key in keys if key.parent_id is not None]:
        rows: Any = await session.execute(
            select(Site.parent_id, func.count()).where(active, among(Site.parent_id, parents)).group_by(Site.parent_id)
        )
        groups |= {GroupKey(parent_id=parent): Group(GroupKey(parent_id=parent), size) for parent, size in rows}
    if pairs := [(key.provider_id, key.district) for key in keys if key.provider_id is not None]:
        providers = {provider for provider, _ in pairs}
        rows = await session.execute(
            select(Site.provider_id, Site.village_code).where(active, Site.provider_id.in_(providers))
        )
        sizes: dict[GroupKey, int] = defaultdict(int)
        for provider, village in rows:
            sizes[GroupKey(provider_id=provider, district=village[:5])] += 1
        groups |= {key: Group(key, sizes[key]) for key in keys if key in sizes}
    return {key: group for key, group in groups.items() if group.size >= MIN_SITES}


async def _outages(session: AsyncSession, keys: Collection[GroupKey], since: datetime) -> list[IncidentSite]:
    in_group: list[ColumnElement[bool]] = []
    if parents := [key.parent_id for key in keys if key.parent_id is not None]:
        in_group.append(among(Site.parent_id, parents))
    if pairs := [(key.provider_id, key.district) for key in keys if key.provider_id is not None]:
        in_group.append(tuple_(Site.provider_id, DISTRICT).in_(pairs))
    rows = await session.scalars(
        select(IncidentSite)
        .join(IncidentSite.incident)
        .options(contains_eager(IncidentSite.incident))
        .join(Site, Site.id == IncidentSite.site_id)
        .where(IncidentSite.withdrawn_at.is_(None), or_(*in_group))
        .where(IncidentSite.ended_at.is_(None) | (IncidentSite.ended_at > since))
        .order_by(IncidentSite.id)
    )
    return list(rows)
